"""What was fetched stays below a limit: what nobody has used for longest goes, and nothing that somebody uses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.labelstudio import downloads
from backend.labelstudio.downloads import FRESH_SECONDS
from backend.labelstudio.in_use import Uses, media_in_use
from backend.labelstudio.media import MediaLibrary
from backend.labelstudio.room import Room
from backend.settings import load_settings
from support.http import Answer, Asked, WebServer, web_server
from support.video_client import eventually

SIZE = 1000
Make = Callable[..., MediaLibrary]


@pytest.fixture
def site() -> Iterator[WebServer]:
    """``/a.mp4`` to ``/e.mp4``, all of one size."""
    with web_server({f"/{name}.mp4": Answer(200, name.encode() * SIZE) for name in "abcde"}) as running:
        yield running


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a library with room for so many bytes."""

    def make_one(room: int, leaving: Callable[[Path], None] = lambda path: None) -> MediaLibrary:
        settings = load_settings(data_dir=tmp_path, allowed_hosts=("127.0.0.1",), media_cache_bytes=room)
        return MediaLibrary(settings, leaving)

    return make_one


def there(tmp_path: Path) -> list[str]:
    """The names of the files that are there, by their contents; of each it is known what it is."""
    found = [path for path in (tmp_path / "media").iterdir() if path.suffix == ".mp4"]
    assert {path.name[:24] for path in found} == {path.stem for path in (tmp_path / "media").glob("*.json")}
    return sorted(map(first_letter, found))


def first_letter(path: Path) -> str:
    """Of a file; to read it is no use of it."""
    state = path.stat()
    letter = path.read_text()[0]
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return letter


def age(path: Path, seconds: int) -> None:
    """Have a file used so long ago; what makes it the one that it is stays as it was."""
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns - seconds * 10**9, state.st_mtime_ns))


def test_what_was_not_used_for_longest_makes_room_and_is_fetched_again(
    make: Make, site: WebServer, tmp_path: Path
) -> None:
    gone: list[Path] = []
    library = make(3 * SIZE, gone.append)
    paths = {name: library.resolve(f"{site.url}/{name}.mp4") for name in "abc"}
    changed = paths["a"].stat().st_mtime_ns
    for seconds, name in enumerate("cba"):
        age(paths[name], 100 * (seconds + 1))
    assert library.resolve(f"{site.url}/a.mp4") == paths["a"]  # used now
    assert paths["a"].stat().st_mtime_ns == changed
    library.resolve(f"{site.url}/d.mp4")
    assert (there(tmp_path), gone, library.held()) == (["a", "c", "d"], [paths["b"]], 3 * SIZE)
    assert library.at_hand(f"{site.url}/b.mp4") is None
    assert library.resolve(f"{site.url}/b.mp4").read_text() == "b" * SIZE
    assert there(tmp_path) == ["a", "b", "d"]
    assert len(site.asked) == 5


def test_a_later_process_knows_what_was_used_last(make: Make, site: WebServer, tmp_path: Path) -> None:
    paths = {name: make(3 * SIZE).resolve(f"{site.url}/{name}.mp4") for name in "abc"}
    age(paths["b"], 100)
    make(2 * SIZE).resolve(f"{site.url}/d.mp4")
    assert len(there(tmp_path)) == 2 and "b" not in there(tmp_path)


def test_what_is_in_use_stays_and_goes_when_it_is_not_any_more(make: Make, site: WebServer, tmp_path: Path) -> None:
    library = make(2 * SIZE)
    uses = Uses()
    with uses.active():
        for name in "abc":
            age(library.resolve(f"{site.url}/{name}.mp4"), 100)
    with media_in_use():
        library.resolve(f"{site.url}/d.mp4")
        assert there(tmp_path) == ["a", "b", "c", "d"]
    library.resolve(f"{site.url}/e.mp4")
    assert there(tmp_path) == ["a", "b", "c", "e"]
    uses.close()
    eventually(lambda: library.held() == 2 * SIZE)
    assert len(there(tmp_path)) == 2
    library.resolve(f"{site.url}/d.mp4")
    assert library.held() == 2 * SIZE


def test_what_is_found_at_hand_or_was_found_before_is_in_use_too(make: Make, site: WebServer, tmp_path: Path) -> None:
    library = make(2 * SIZE)
    first, second = (library.resolve(f"{site.url}/{name}.mp4") for name in "ab")
    with media_in_use():
        assert library.at_hand(f"{site.url}/a.mp4") == first
        library.resolve(f"{site.url}/c.mp4")
        assert there(tmp_path) == ["a", "c"]
        assert (library.use(first), library.use(second)) == (True, False)


def test_a_file_that_is_larger_than_the_room_is_taken_as_the_only_one(
    make: Make, site: WebServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.routes["/large.mp4"] = Answer(200, b"l" * (3 * SIZE))
    library = make(2 * SIZE)
    library.resolve(f"{site.url}/a.mp4")
    with media_in_use():
        library.resolve(f"{site.url}/large.mp4")
        assert there(tmp_path) == ["l"]
    assert "--media-cache-bytes" in caplog.text
    assert library.resolve(f"{site.url}/large.mp4").exists()
    assert len(site.asked) == 2  # it is not fetched for each press
    library.resolve(f"{site.url}/b.mp4")
    assert there(tmp_path) == ["b"]


@pytest.mark.parametrize("declared", [True, False])
def test_there_is_room_before_it_is_taken(
    make: Make, site: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    """At no time are there more bytes than there may be."""
    library = make(3 * SIZE)
    for name in "abc":
        library.resolve(f"{site.url}/{name}.mp4")
    most: list[int] = []
    whole = downloads.Line.took

    def took(line: downloads.Line, size: int) -> None:
        whole(line, size)
        files = [path for path in (tmp_path / "media").iterdir() if path.suffix in (".mp4", ".part")]
        most.append(sum(path.stat().st_size for path in files) + size)

    monkeypatch.setattr(downloads, "CHUNK", 100)
    monkeypatch.setattr(downloads.Line, "took", took)
    if not declared:
        monkeypatch.setattr(library, "_examine", lambda response, *_: response.headers.pop("Content-Length"))
    site.routes["/d.mp4"] = Answer(200, b"d" * (3 * SIZE // 2))
    library.resolve(f"{site.url}/d.mp4")
    assert len(most) == 15 and max(most) <= 3 * SIZE


def test_files_of_others_are_left_alone(make: Make, site: WebServer, tmp_path: Path) -> None:
    library = make(SIZE)
    (tmp_path / "media" / "sub").mkdir(parents=True)
    own = [tmp_path / "media" / name for name in ("holiday.mp4", "sub/b.mp4", "0123-4567.mp4")]
    for path in own:
        path.write_bytes(bytes(2 * SIZE))
    age(library.resolve(f"{site.url}/a.mp4"), 100)
    library.resolve(f"{site.url}/b.mp4")
    assert library.held() == SIZE
    assert all(path.exists() for path in own)


def test_a_download_that_fails_takes_no_room(make: Make, site: WebServer) -> None:
    site.routes["/broken.mp4"] = Answer(200, b"x" * 10, length=2 * SIZE)
    library = make(3 * SIZE)
    library.resolve(f"{site.url}/a.mp4")
    for _ in range(3):
        with pytest.raises(downloads.Unreachable):
            library.resolve(f"{site.url}/broken.mp4")
    for name in "bc":
        library.resolve(f"{site.url}/{name}.mp4")
    assert len(site.asked) == 6 and library.held() == 3 * SIZE


def test_an_older_version_stays_while_it_is_in_use(
    make: Make, site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = make(9 * SIZE)
    url = f"{site.url}/a.mp4"
    monkeypatch.setattr(downloads, "FRESH_SECONDS", 0.0)
    uses = Uses()
    with uses.active():
        older = library.resolve(url)
    site.routes["/a.mp4"] = Answer(200, b"A" * SIZE, {"ETag": '"2"'})
    newer = library.resolve(url)
    assert older != newer and older.exists()
    uses.close()
    site.routes["/a.mp4"] = Answer(200, b"B" * SIZE, {"ETag": '"3"'})
    newest = library.resolve(url)
    assert newest.exists() and not newer.exists()


def test_where_no_limit_is_set_it_is_a_share_of_the_disk(tmp_path: Path) -> None:
    assert 0 < Room(tmp_path / "not" / "yet")._most() <= shutil.disk_usage(tmp_path).total / 2


def test_a_disk_that_is_full_makes_room_before_the_limit(
    make: Make, site: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = make(9 * SIZE)
    age(library.resolve(f"{site.url}/a.mp4"), 100)
    library.resolve(f"{site.url}/b.mp4")
    monkeypatch.setattr(Room, "_free", lambda self: 2 * SIZE - library.held())
    library.resolve(f"{site.url}/c.mp4")
    assert there(tmp_path) == ["b", "c"]


def test_nothing_is_remembered_of_addresses_and_hosts_that_nobody_asks_for(
    make: Make, site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    library = make(9 * SIZE)
    store = library._store
    monkeypatch.setattr(store, "_clock", lambda: clock[0])
    entered: list[int] = []

    def serve(asked: Asked) -> Answer:
        entered.append(len(store._turns) + len(store._hosts))
        return Answer(200, b"f" * SIZE)

    site.routes["/f.mp4"] = serve
    for name in "abcdef":
        library.resolve(f"{site.url}/{name}.mp4")
        clock[0] += FRESH_SECONDS / 4
    assert entered == [2]
    assert (len(store._turns), len(store._hosts), len(store._checked)) == (0, 0, 4)
    for name in "ef":  # these are known to be fresh still
        library.resolve(f"{site.url}/{name}.mp4")
    assert len(site.asked) == 6
