"""Pictures that are fetched as they are asked for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.errors import FrameOutOfRange, MediaError, VideoError
from backend.service.albums import Album, Albums

ADDRESSES = [f"/data/upload/1/{index}.png" for index in range(4)]


class Server:
    """Files by address; counts what was fetched."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        for index, address in enumerate(ADDRESSES):
            self.put(address, (40, 60), 10 * index)

    def put(self, address: str, size: tuple[int, int], value: int) -> Path:
        path = self.root / address.rpartition("/")[2]
        Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
        return path

    def find(self, address: str) -> Path:
        self.asked.append(address)
        path = self.root / address.rpartition("/")[2]
        if not path.exists():
            raise MediaError(f"{address} answered 404")
        return path


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_only_what_is_asked_for_is_fetched_and_once(server: Server) -> None:
    album = Album(ADDRESSES, server.find, 2, 24.0)
    assert (len(album), album.width, album.height) == (4, 60, 40)
    assert album.frame(2)[0, 0, 0] == 20 and album.frame(1)[0, 0, 0] == 10
    assert album.frame(1).shape == (40, 60, 3)
    assert server.asked == [ADDRESSES[2], ADDRESSES[1]]
    assert [index for index, _ in album.frames(3, -1, -1)] == [3, 2, 1, 0]


def test_a_picture_of_another_size_is_refused_by_its_number(server: Server) -> None:
    server.put(ADDRESSES[3], (30, 30), 0)
    album = Album(ADDRESSES, server.find, 0, 24.0)
    with pytest.raises(VideoError, match="picture 4 of the task is 30 x 30 pixels, picture 1 60 x 40"):
        album.frame(3)


def test_what_cannot_be_fetched_or_is_not_there(server: Server) -> None:
    (server.root / "1.png").unlink()
    album = Album(ADDRESSES, server.find, 0, 24.0)
    with pytest.raises(MediaError, match="404"):
        album.frame(1)
    with pytest.raises(FrameOutOfRange):
        album.frame(4)
    with pytest.raises(FrameOutOfRange):
        Album(ADDRESSES, server.find, 4, 24.0)


def test_an_album_stays_open_until_a_file_changes(server: Server) -> None:
    albums = Albums()
    first = albums.open("1", ADDRESSES, server.find, 0)
    assert albums.open("1", ADDRESSES, server.find, 3) is first
    path = server.put(ADDRESSES[0], (40, 60), 99)
    os.utime(path, (1, 1))
    again = albums.open("1", ADDRESSES, server.find, 0)
    assert again is not first and again.identity() != first.identity()
    assert again.frame(0)[0, 0, 0] == 99


def test_the_same_addresses_of_another_owner_are_other_pictures(server: Server) -> None:
    albums = Albums()
    one, other = (albums.open(owner, ADDRESSES, server.find, 0) for owner in ("1", "2"))
    assert one.identity() != other.identity()


def test_few_albums_stay_open(server: Server) -> None:
    albums = Albums(kept=2)
    first = albums.open("1", ADDRESSES, server.find, 0)
    for owner in ("2", "3"):
        albums.open(owner, ADDRESSES, server.find, 0)
    assert albums.open("1", ADDRESSES, server.find, 0) is not first
