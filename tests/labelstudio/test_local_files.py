"""Files that Label Studio serves from its own disk."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from backend.errors import LabelStudioError, MediaError, SettingsError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.local_files import LocalFiles
from support.frames_studio import PROJECT, TOKEN, frames_studio


@pytest.fixture
def studio():
    with frames_studio("<View/>") as found:
        yield found


@pytest.fixture
def client(studio):
    found = LabelStudioClient(studio.url, TOKEN)
    yield found
    found.close()


@pytest.fixture
def files(tmp_path) -> LocalFiles:
    return LocalFiles(tmp_path, PurePosixPath("/label-studio/files"))


def test_addresses_are_below_the_root(files, tmp_path):
    assert files.address(tmp_path / "a b" / "ü#1.jpg") == "/data/local-files/?d=a%20b/%C3%BC%231.jpg"
    with pytest.raises(SettingsError, match=r"is not in .*from which Label Studio serves files"):
        files.address(tmp_path.parent / "c.jpg")


def test_the_root_itself_is_not_served(files, tmp_path):
    assert files.place(tmp_path / "a" / "b") == PurePosixPath("/label-studio/files/a/b")
    with pytest.raises(SettingsError, match="directories below its root alone"):
        files.place(tmp_path)


def test_a_project_gets_a_storage_from_which_nothing_is_imported(studio, client, files, tmp_path):
    files.serve(client, PROJECT, tmp_path / "cuts")
    (storage,) = studio.storages
    assert (storage["project"], storage["path"]) == (PROJECT, "/label-studio/files/cuts")
    assert storage["regex_filter"] == "^$"
    files.serve(client, PROJECT, tmp_path / "cuts")
    files.serve(client, PROJECT, tmp_path / "cuts" / "more")
    assert studio.storages == [storage]
    files.serve(client, PROJECT, tmp_path / "cuts2")
    assert len(studio.storages) == 2


def test_a_storage_that_is_refused_says_what_to_set_up(studio, client, files, tmp_path):
    studio.refuses["POST /api/storages/localfiles"] = 400
    with pytest.raises(LabelStudioError, match=r"DOCUMENT_ROOT=/label-studio/files, .*leave --local-files out"):
        LocalFiles(tmp_path, files.there).serve(client, PROJECT, tmp_path / "cuts")


def test_that_a_file_is_served_is_looked_at(studio, client, files, tmp_path):
    path = Path(tmp_path, "cuts", "a b.jpg")
    path.parent.mkdir()
    path.write_bytes(b"picture")
    with pytest.raises(LabelStudioError, match=r"LOCAL_FILES_SERVING_ENABLED=true.*answered 404"):
        files.check(client, path)
    studio.served["cuts/a b.jpg"] = b"another"
    with pytest.raises(LabelStudioError, match=r"serves another file at .*is /label-studio/files its directory"):
        files.check(client, path)
    studio.served["cuts/a b.jpg"] = b"picture"
    files.check(client, path)


def test_a_file_that_is_gone_is_told(client, files, tmp_path):
    with pytest.raises(MediaError, match=r"gone\.jpg cannot be read \(No such file"):
        files.check(client, tmp_path / "cuts" / "gone.jpg")


def test_storages_come_in_pages_too_and_what_is_no_list_is_told(studio, client, files, tmp_path):
    pages = [{"results": [{"path": f"/label-studio/files/{name}"}], "next": None} for name in ("other", "cuts")]
    pages[0]["next"] = f"{studio.url}/api/storages/localfiles?page=2&project={PROJECT}"
    storages = "/api/storages/localfiles"
    studio.site.routes[storages] = studio._json("", lambda asked: pages["page=2" in asked.path])
    files.serve(client, PROJECT, tmp_path / "cuts")  # the second page has it
    assert [asked.method for asked in studio.site.requests(storages)] == ["GET", "GET"]
    studio.site.routes[storages] = studio._json("", lambda asked: None)
    with pytest.raises(LabelStudioError, match="the answer is no list"):
        files.serve(client, PROJECT, tmp_path / "cuts")
