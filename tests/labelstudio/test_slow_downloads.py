"""Sources from which next to nothing comes: a read from them ends, whatever they send to keep it waiting."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from pydantic import SecretStr

from backend.errors import MediaError
from backend.labelstudio import lines
from backend.labelstudio.downloads import FRESH_SECONDS, FROM_ONE_HOST, DownloadStore, Unreachable
from backend.labelstudio.hosts import GuardedAdapter
from backend.labelstudio.lines import Line
from backend.labelstudio.media import LabelStudioAccess, MediaLibrary
from backend.settings import load_settings
from support.fake_tracker import PATIENCE
from support.http import Answer, Asked, web_server

HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "nothing": b"",
    "a line that does not end": b"HTTP/1.1 200 O",
    "headers that do not end": HEAD + b"X: ",
    "a body of a length": HEAD + b"Content-Length: 100000\r\n\r\n",
    "a body of no length": HEAD + b"Connection: close\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n18000\r\n",
}
HANDSHAKE = b"\x16\x03\x03\x3f\xff"


@contextmanager
def dripping(head: bytes) -> Iterator[str]:
    """The address of a server that sends ``head``, and then a byte now and then; host and port alone."""
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(head)
                while not over.wait(0.02):
                    if head:
                        connection.sendall(b"\0")
            except OSError:
                return

    def accept() -> None:
        while not over.is_set():
            try:
                threads.append(threading.Thread(target=serve, args=(listener.accept()[0],)))
            except TimeoutError:
                continue
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            for thread in threads:
                thread.join(PATIENCE)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MediaLibrary:
    monkeypatch.setattr(lines, "PACE_SECONDS", 0.2)
    return MediaLibrary(load_settings(data_dir=tmp_path, allowed_hosts=("127.0.0.1",)))


@pytest.mark.parametrize("case", DRIPS)
def test_a_source_that_drips_is_given_up(library: MediaLibrary, case: str, tmp_path: Path) -> None:
    with (
        dripping(DRIPS[case]) as host,
        pytest.raises(Unreachable, match=r"/a\.mp4: too little comes of it: \d+ bytes in 0\.2 seconds"),
    ):
        library.resolve(f"http://{host}/a.mp4")
    media = tmp_path / "media"
    assert not media.exists() or not [*media.iterdir()]


def test_a_handshake_that_drips_is_given_up(library: MediaLibrary) -> None:
    with dripping(HANDSHAKE) as host, pytest.raises(Unreachable, match="too little comes of it: 0 bytes"):
        library.resolve(f"https://{host}/a.mp4")


def test_what_comes_at_a_fair_pace_is_taken(library: MediaLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Much longer than the time in which something has to come."""
    monkeypatch.setattr(lines, "LEAST_BYTES", 1)
    monkeypatch.setattr(lines, "PACE_SECONDS", 1.0)
    body = bytes(1 << 20)

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.recv(1 << 16)
            connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode())
            for start in range(0, len(body), 1 << 16):
                connection.sendall(body[start : start + (1 << 16)])
                time.sleep(0.15)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: serve(listener.accept()[0]))
        thread.start()
        path = library.resolve(f"http://127.0.0.1:{listener.getsockname()[1]}/a.mp4")
        thread.join(PATIENCE)
    assert path.read_bytes() == body


def test_a_download_does_not_go_on_forever(library: MediaLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LEAST_BYTES", 0)
    monkeypatch.setattr(lines, "LONGEST_SECONDS", 0.36)
    with (
        dripping(DRIPS["a body of no length"]) as host,
        pytest.raises(Unreachable, match=r"not there after 0\.0001 hours"),
    ):
        library.resolve(f"http://{host}/a.mp4")


def test_closing_ends_what_waits_for_a_byte(tmp_path: Path) -> None:
    media = MediaLibrary(load_settings(data_dir=tmp_path, allowed_hosts=("127.0.0.1",)))
    with dripping(DRIPS["a body of a length"]) as host:
        errors: list[MediaError] = []

        def fetch() -> None:
            with pytest.raises(MediaError) as caught:
                media.resolve(f"http://{host}/a.mp4")
            errors.append(caught.value)

        thread = threading.Thread(target=fetch)
        thread.start()
        while not media._store._lines:
            time.sleep(0.002)
        media.close()
        thread.join(PATIENCE)
    assert [str(error).rpartition(": ")[2] for error in errors] == [
        "the download was ended, the backend is shutting down"
    ]


def test_a_copy_serves_where_its_source_drips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    store = DownloadStore(tmp_path, 1 << 20, clock=lambda: now[0])
    with web_server({"/a.mp4": Answer(200, b"a video")}) as site, dripping(DRIPS["nothing"]) as host:

        def ask(url: str) -> Path:
            def open_(headers: object, line: Line) -> requests.Response:
                with requests.Session() as session:
                    session.mount("http://", GuardedAdapter(lambda host, port, address: None, line))
                    try:
                        return session.get(url, stream=True, timeout=PATIENCE)
                    except requests.RequestException as error:
                        raise Unreachable("it is gone") from error

            return store.get("http://somewhere/a.mp4", ".mp4", open_)

        path = ask(site.url + "/a.mp4")
        now[0] += FRESH_SECONDS + 1
        monkeypatch.setattr(lines, "PACE_SECONDS", 0.2)
        assert ask(f"http://{host}/a.mp4") == path
        assert path.read_bytes() == b"a video"


class _Door:
    """A lock that counts how often it was let go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.left = 0

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self.left += 1
        self._lock.release()


def test_who_waits_for_a_fetch_that_fails_is_told_so_and_does_not_ask_again(tmp_path: Path) -> None:
    library = MediaLibrary(load_settings(data_dir=tmp_path, allowed_hosts=("127.0.0.1",)))
    door = _Door()
    library._store._guard = door  # type: ignore[assignment]
    errors: list[str] = []
    with web_server() as site:

        def slow(asked: Asked) -> Answer:
            limit = time.monotonic() + PATIENCE
            while door.left < 6 + 2 and time.monotonic() < limit:  # all wait; one of them has its line besides
                time.sleep(0.002)
            return Answer(503)

        site.routes["/a.mp4"] = slow

        def fetch() -> None:
            with pytest.raises(Unreachable) as caught:
                library.resolve(f"{site.url}/a.mp4")
            errors.append(str(caught.value))

        threads = [threading.Thread(target=fetch) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(errors) == 6 and len(set(errors)) == 1
        assert len(site.asked) == 1
        site.routes["/a.mp4"] = Answer(200, b"a video")
        assert library.resolve(f"{site.url}/a.mp4").read_bytes() == b"a video"


def test_who_waits_for_a_fetch_that_is_refused_asks_with_a_token_of_its_own(tmp_path: Path) -> None:
    media = MediaLibrary(load_settings(data_dir=tmp_path))
    entered = threading.Event()

    def guarded(asked: Asked) -> Answer:
        entered.set()
        time.sleep(0.1)
        return Answer(200, b"a video") if asked.headers["Authorization"] == "Token right" else Answer(401)

    with web_server({"/data/upload/1/a.mp4": guarded}) as site:

        def wrong() -> None:
            with pytest.raises(MediaError, match="refused the token"):
                media.resolve("/data/upload/1/a.mp4", LabelStudioAccess(site.url, SecretStr("wrong")))

        thread = threading.Thread(target=wrong)
        thread.start()
        assert entered.wait(PATIENCE)
        path = media.resolve("/data/upload/1/a.mp4", LabelStudioAccess(site.url, SecretStr("right")))
        thread.join(PATIENCE)
        assert path.read_bytes() == b"a video"


def test_a_host_is_asked_for_few_files_at_a_time_and_another_one_meanwhile(tmp_path: Path) -> None:
    media = MediaLibrary(load_settings(data_dir=tmp_path, allowed_hosts=("127.0.0.1",)))
    release = threading.Event()

    def hang(asked: Asked) -> Answer:
        release.wait(PATIENCE)
        return Answer(200, b"a video")

    with web_server() as slow, web_server({"/a.mp4": Answer(200, b"another")}) as quick:
        slow.routes.update({f"/{number}.mp4": hang for number in range(FROM_ONE_HOST + 3)})
        threads = [
            threading.Thread(target=media.resolve, args=(f"{slow.url}/{number}.mp4",))
            for number in range(FROM_ONE_HOST + 3)
        ]
        for thread in threads:
            thread.start()
        while len(slow.asked) < FROM_ONE_HOST:
            time.sleep(0.002)
        assert media.resolve(f"{quick.url}/a.mp4").read_bytes() == b"another"
        time.sleep(0.05)  # the others reach the door; were it open, they would come in
        assert len(slow.asked) == FROM_ONE_HOST
        release.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(slow.asked) == FROM_ONE_HOST + 3
