"""Which failures to fetch a video may pass by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from backend.errors import MediaError
from backend.labelstudio.media import MediaLibrary
from backend.settings import load_settings
from support.http import Answer, web_server

PERSONAL = "eyJhbGciOi.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"


def failure(tmp_path: Path, url: str, value: str, token: str = "f00d") -> MediaError:
    settings = load_settings(data_dir=tmp_path, label_studio_url=url, label_studio_token=SecretStr(token))
    with pytest.raises(MediaError) as error:
        MediaLibrary(settings).resolve(value)
    return error.value


@pytest.mark.parametrize(("status", "passing"), [(503, True), (500, True), (404, False), (410, False)])
def test_what_a_source_answers(tmp_path, status, passing):
    with web_server({"/data/upload/1/a.mp4": Answer(status)}) as site:
        found = failure(tmp_path, site.url, "/data/upload/1/a.mp4")
    assert found.passing is passing
    assert f"answered {status}" in str(found)


def test_a_source_that_is_gone(tmp_path):
    with web_server() as site:
        url = site.url
    assert failure(tmp_path, url, "/data/upload/1/a.mp4").passing
    assert failure(tmp_path, url, "/data/upload/1/a.mp4", token=PERSONAL).passing


def test_a_path_that_nobody_has(tmp_path):
    with web_server() as site:
        assert not failure(tmp_path, site.url, "nowhere.mp4").passing
