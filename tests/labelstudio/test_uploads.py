"""Files uploaded to a project, many in a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import LabelStudioError, MediaError
from backend.labelstudio import uploads
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.uploads import Uploads
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
def files(tmp_path) -> list[Path]:
    paths = [tmp_path / f"a-{number}.jpg" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 10)
    return paths


@pytest.mark.parametrize(
    ("most_files", "most_bytes", "batches"),
    [(100, 1000, [5]), (2, 1000, [2, 2, 1]), (100, 30, [3, 2]), (100, 5, [1, 1, 1, 1, 1])],
)
def test_addresses_are_in_the_order_of_the_files(studio, client, files, monkeypatch, most_files, most_bytes, batches):
    monkeypatch.setattr(uploads, "MOST_FILES", most_files)
    monkeypatch.setattr(uploads, "MOST_BYTES", most_bytes)
    done: list[int] = []
    with Uploads(client, PROJECT) as uploading:
        addresses = uploading.add(files, done.append)
        uploading.keep()
    assert studio.batches == done == batches
    assert addresses == [f"/data/upload/{PROJECT}/{n + 1:08x}-a-{n}.jpg" for n in range(5)]
    assert list(studio.uploads.values()) == [(path.name, path.read_bytes()) for path in files]


def test_what_is_not_kept_is_deleted(studio, client, files):
    with Uploads(client, PROJECT) as uploading:
        uploading.add(files)
        assert len(studio.uploads) == 5
    assert studio.uploads == {}


def test_where_it_fails_on_the_way_nothing_is_left(studio, client, files, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    files[3].unlink()
    with pytest.raises(MediaError, match=r"a-3\.jpg cannot be read"), Uploads(client, PROJECT) as uploading:
        uploading.add(files)
    assert studio.batches == [2]
    assert studio.uploads == {}


def test_where_it_is_cancelled_nothing_is_left(studio, client, files, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    with Uploads(client, PROJECT) as uploading:
        assert uploading.add(files, cancelled=lambda: len(studio.uploads) >= 4) is None
    assert studio.batches == [2, 2]
    assert studio.uploads == {}


def test_what_cannot_be_deleted_is_said(studio, client, files, caplog):
    with pytest.raises(LabelStudioError, match="answered 500"), Uploads(client, PROJECT) as uploading:
        uploading.add(files)
        studio.refuses[f"POST /api/projects/{PROJECT}/import"] = 500
        studio.refuses[f"DELETE /api/projects/{PROJECT}/file-uploads"] = 500
        uploading.add(files)
    assert f"5 uploads to project {PROJECT} are left over" in caplog.text


def test_a_file_that_got_lost_is_noticed(studio, client, files):
    studio.site.routes |= {
        f"/api/projects/{PROJECT}/file-uploads": studio._json("", lambda asked: [{"id": 1, "file": "upload/3/x.jpg"}])
    }
    with pytest.raises(LabelStudioError, match="of 5 files that were uploaded Label Studio has 1"):
        Uploads(client, PROJECT).add(files)


def test_where_label_studio_tells_no_uploads_it_is_said(studio, client, files):
    studio.site.routes |= {f"/api/projects/{PROJECT}/file-uploads": studio._json("", lambda asked: None)}
    with pytest.raises(LabelStudioError, match="the answer is no list"):
        Uploads(client, PROJECT).add(files)
