"""Files that a worker is sent, in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from backend.cluster.footage import Footage, MediaFolder, Videos, footage_of, pieces
from backend.errors import VideoError
from backend.video.frames import FileState, file_state
from backend.video.images import ImageSequence


def sent(folder: MediaFolder, state: FileState, content: bytes) -> list[Path]:
    """Send a file in two pieces; what made room for it."""
    half = len(content) // 2
    gone = folder.put(state, content[:half], 0)
    assert folder.find(state) is None
    folder.put(state, content[half:], half)
    return gone


def elsewhere(name: str, size: int = 100) -> FileState:
    """A file of another machine."""
    return (f"/no/such/place/{name}.mp4", 1, size)


def test_a_file_is_found_at_its_own_place_as_long_as_it_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"video")
    state = file_state(path)
    folder = MediaFolder(1000, tmp_path)
    assert folder.find(state) == path
    path.write_bytes(b"other")
    assert folder.find((*state[:2], 6)) is None
    assert folder.find((state[0], 1, 5)) is None
    folder.close()


def test_a_file_that_was_sent_is_there_with_its_last_piece(tmp_path: Path) -> None:
    folder = MediaFolder(1000, tmp_path)
    sent(folder, elsewhere("a"), bytes(range(100)))
    found = folder.find(elsewhere("a"))
    assert found is not None
    assert (found.read_bytes(), found.suffix) == (bytes(range(100)), ".mp4")
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_the_longest_unused_make_room_but_none_that_is_in_use(tmp_path: Path) -> None:
    folder = MediaFolder(250, tmp_path)
    for name in "ab":
        sent(folder, elsewhere(name), bytes(100))
    kept = folder.find(elsewhere("a"))
    assert kept is not None
    with folder.use([kept]):
        gone = sent(folder, elsewhere("c"), bytes(100))
        assert [path.suffix for path in gone] == [".mp4"]
        assert [folder.find(elsewhere(name)) is None for name in "abc"] == [False, True, False]
        sent(folder, elsewhere("large", 400), bytes(400))
        assert [folder.find(elsewhere(name)) is None for name in "ac"] == [False, True]
        assert folder.find(elsewhere("large", 400)) is not None
    sent(folder, elsewhere("d"), bytes(100))
    assert folder.find(elsewhere("a")) is None
    folder.close()


def test_what_is_asked_for_does_not_make_room_for_the_rest_of_its_video(tmp_path: Path) -> None:
    folder = MediaFolder(250, tmp_path)
    for name in ("first", "another"):
        sent(folder, elsewhere(name), bytes(100))
    videos = Videos(folder)
    footage = Footage("pictures", {0: elsewhere("first"), 1: elsewhere("second")}, 2, 1.0)
    assert videos.wanting(footage) == [1]
    sent(folder, elsewhere("second"), bytes(100))
    assert videos.wanting(footage) == []
    assert folder.find(elsewhere("another")) is None
    folder.close()


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    folder = MediaFolder(1000, tmp_path)
    shutil.rmtree(folder._path)
    with pytest.raises(VideoError, match="a worker cannot keep"):
        folder.put(elsewhere("a"), b"x", 0)
    folder.close()


KILLED = """
import os, sys
from pathlib import Path
from backend.cluster.footage import MediaFolder
folder = MediaFolder(1000, Path(sys.argv[1]))
folder.put(("/no/such/a.mp4", 1, 1), b"x", 0)
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_worker_left_is_removed_by_the_next(tmp_path: Path) -> None:
    alive = MediaFolder(1000, tmp_path)
    sent(alive, elsewhere("a"), bytes(100))
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2
    following = MediaFolder(1000, tmp_path)
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {alive._path, following._path}
    assert alive.find(elsewhere("a")) is not None
    alive.close()
    following.close()


def test_pieces_are_the_file_or_say_that_it_is_not_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.cluster.footage.PIECE_BYTES", 4)
    path = tmp_path / "a.mp4"
    path.write_bytes(b"0123456789")
    assert list(pieces(file_state(path))) == [(0, b"0123"), (4, b"4567"), (8, b"89")]
    with pytest.raises(VideoError, match="has changed while it was sent"):
        list(pieces((str(path), 1, 11)))
    path.unlink()
    with pytest.raises(VideoError, match="cannot be read"):
        list(pieces((str(path), 1, 10)))


def test_a_picture_that_was_not_sent_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "0.png")
    footage = footage_of(ImageSequence([tmp_path / "0.png"]))
    videos = Videos(MediaFolder(1000, tmp_path))
    two = Footage(footage.identity, footage.files, 2, 1.0)
    with videos.open(two) as frames:
        assert (len(frames), frames.width, frames.frame(0).shape) == (2, 8, (6, 8, 3))
        with pytest.raises(VideoError, match="picture 2 was not sent"):
            frames.frame(1)
    gone = Footage("other", {0: elsewhere("a")})
    with pytest.raises(VideoError, match="was not sent"), videos.open(gone):
        pass


def test_pictures_that_are_larger_together_are_taken_all_the_same(tmp_path: Path) -> None:
    folder = MediaFolder(250, tmp_path)
    videos = Videos(folder)
    sent(folder, elsewhere("before"), bytes(100))
    pictures = Footage("pictures", {number: elsewhere(str(number)) for number in range(4)}, 4, 1.0)
    assert videos.expect(pictures) == [0, 1, 2, 3]
    for state in pictures.files.values():
        sent(folder, state, bytes(100))
    assert videos.wanting(pictures) == []
    assert folder.find(elsewhere("before")) is None
    following = Footage("following", {0: elsewhere("following")})
    assert videos.expect(following) == [0]
    sent(folder, elsewhere("following"), bytes(100))
    assert videos.wanting(pictures) == [0, 1, 2]
    folder.close()
