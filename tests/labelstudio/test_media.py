"""Media from everywhere a task may name, and from nowhere it may not."""

import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from pydantic import SecretStr

from backend.errors import MediaError
from backend.labelstudio.downloads import FRESH_SECONDS, DownloadStore
from backend.labelstudio.hosts import HostRules, origin, shown
from backend.labelstudio.media import LabelStudioAccess, MediaLibrary
from support.fake_tracker import PATIENCE
from support.http import Answer, Asked, web_server

TOKEN = "0123456789abcdef0123456789abcdef01234567"
CLIP = b"\x00\x00\x00 ftypisom" + bytes(range(256)) * 40
UPLOAD = "/data/upload/3/clip.mp4"
PAGE = Answer(200, b"<!DOCTYPE html><title>Sign in</title>", {"Content-Type": "text/html; charset=utf-8"})


@dataclass
class MediaOptions:
    data_dir: Path
    media_root: Path | None = None
    label_studio_url: str | None = None
    label_studio_token: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()
    max_media_bytes: int = 1 << 20
    media_cache_bytes: int | None = None


@pytest.fixture
def studio():
    """A Label Studio that serves one upload and one local file to those who have the token."""

    def serve(asked: Asked) -> Answer:
        if asked.headers.get("Authorization") != f"Token {TOKEN}":
            return Answer(401, b"{}", {"Content-Type": "application/json"})
        return Answer(200, CLIP, {"Content-Type": "video/mp4"})

    with web_server({UPLOAD: serve, "/data/local-files/": serve}) as site:
        yield site


@pytest.fixture
def elsewhere():
    with web_server({"/clip.mp4": Answer(200, CLIP)}) as site:
        yield site


@pytest.fixture
def library(tmp_path):
    def make(**options) -> MediaLibrary:
        token = options.pop("token", None)
        secret = None if token is None else SecretStr(token)
        return MediaLibrary(MediaOptions(tmp_path / "data", label_studio_token=secret, **options))

    return make


# --- Label Studio's own media


def test_an_upload_is_fetched_once_with_the_configured_token(studio, library):
    media = library(label_studio_url=studio.url, token=TOKEN)
    path = media.resolve(UPLOAD)
    assert path.read_bytes() == CLIP
    assert path.suffix == ".mp4"
    assert media.resolve(UPLOAD) == media.resolve(studio.url + UPLOAD) == path
    assert len(studio.asked) == 1


def test_a_later_process_uses_the_same_file(studio, library):
    path = library(label_studio_url=studio.url, token=TOKEN).resolve(UPLOAD)
    assert library(label_studio_url=studio.url, token=TOKEN).resolve(UPLOAD) == path
    assert len(studio.asked) == 1


def test_what_is_at_hand_is_found_without_asking_anybody(studio, library):
    media = library(label_studio_url=studio.url, token=TOKEN)
    assert media.at_hand(UPLOAD) is None
    path = media.resolve(UPLOAD)
    reported = LabelStudioAccess(studio.url)
    assert media.at_hand(UPLOAD) == library().at_hand(UPLOAD, reported) == path
    assert library(label_studio_url=studio.url).at_hand(studio.url + UPLOAD) == path
    assert media.at_hand("/data/upload/3/other.mp4") is media.at_hand("") is media.at_hand("http://[") is None
    assert library().at_hand(UPLOAD) is None  # whose Label Studio it is on is not known
    path.unlink()
    assert media.at_hand(UPLOAD) is None
    assert len(studio.asked) == 1


def test_the_token_that_setup_reported_serves_where_none_is_configured(studio, library):
    reported = LabelStudioAccess(studio.url + "/", SecretStr(TOKEN))
    assert library().resolve(UPLOAD, reported).read_bytes() == CLIP


def test_a_configured_address_wins_over_the_reported_one(studio, library):
    reported = LabelStudioAccess("http://studio.public:8080", SecretStr(TOKEN))
    media = library(label_studio_url=studio.url)
    assert media.resolve(UPLOAD, reported).read_bytes() == CLIP
    assert media.resolve("http://studio.public:8080" + UPLOAD, reported).read_bytes() == CLIP


def test_a_configured_token_is_not_sent_to_a_reported_address(studio, library):
    with pytest.raises(MediaError, match="none is known"):
        library(token=TOKEN).resolve(UPLOAD, LabelStudioAccess(studio.url))
    assert all("Authorization" not in asked.headers for asked in studio.asked)


def test_label_studio_under_a_path(library):
    with web_server({"/ls" + UPLOAD: Answer(200, CLIP)}) as site:
        media = library(label_studio_url=site.url + "/ls", token=TOKEN)
        assert media.resolve(UPLOAD) == media.resolve("/ls" + UPLOAD)
        assert [asked.path for asked in site.asked] == ["/ls" + UPLOAD]
        assert site.asked[0].headers["Authorization"] == f"Token {TOKEN}"


def test_a_local_file_is_fetched_through_label_studio(studio, library):
    path = library(label_studio_url=studio.url, token=TOKEN).resolve("/data/local-files/?d=videos/a%20b.mov")
    assert path.read_bytes() == CLIP
    assert path.suffix == ".mov"
    assert studio.asked[0].path == "/data/local-files/?d=videos/a%20b.mov"


def test_a_local_file_under_the_media_root_is_used_directly(studio, library, tmp_path):
    root = tmp_path / "root"
    (root / "videos").mkdir(parents=True)
    (root / "videos" / "a b.mp4").write_bytes(b"here")
    media = library(label_studio_url=studio.url, token=TOKEN, media_root=root)
    assert media.resolve("/data/local-files/?d=videos/a%20b.mp4") == root / "videos" / "a b.mp4"
    assert media.resolve(studio.url + "/data/local-files/?d=videos/a%20b.mp4") == root / "videos" / "a b.mp4"
    assert studio.asked == []
    assert media.resolve("/data/local-files/?d=other.mp4").read_bytes() == CLIP


@pytest.mark.parametrize(
    "answer",
    [
        Answer(401, b"{}"),
        Answer(403, b"{}"),
        PAGE,
        Answer(302, b"", {"Location": "/user/login/?next=/data/upload/3/clip.mp4"}),
    ],
    ids=["401", "403", "page", "login"],
)
@pytest.mark.parametrize(
    ("token", "message"), [(None, "wants a token, and none is known"), (TOKEN, "refused the token")]
)
def test_a_missing_or_refused_token_is_named_with_what_to_do(studio, library, answer, token, message):
    studio.routes[UPLOAD] = answer
    with pytest.raises(MediaError, match=f"{message}.*KEYTRACK_LABEL_STUDIO_TOKEN") as caught:
        library(label_studio_url=studio.url, token=token).resolve(UPLOAD)
    assert TOKEN not in str(caught.value)


def test_a_refused_personal_token_is_told(studio, library):
    with pytest.raises(MediaError, match="without an access token"):
        library(label_studio_url=studio.url, token="eyJ0.eyJ0.c2ln").resolve(UPLOAD)


def test_a_local_file_that_no_storage_covers(studio, library):
    studio.routes["/data/local-files/"] = Answer(404)
    with pytest.raises(MediaError, match="only if a Local Files storage"):
        library(label_studio_url=studio.url, token=TOKEN).resolve("/data/local-files/?d=a.mp4")


def test_without_any_address_of_label_studio(library):
    with pytest.raises(MediaError, match="KEYTRACK_LABEL_STUDIO_URL"):
        library().resolve(UPLOAD)


@pytest.mark.parametrize(
    "value", ["/data/../api/users", "/data/%2e%2e/api/users", "/data/upload/../../api/users", "/api/users"]
)
def test_the_token_goes_to_media_and_to_nothing_else(studio, library, value):
    with pytest.raises(MediaError):
        library(label_studio_url=studio.url, token=TOKEN).resolve(studio.url + value)
    assert all("Authorization" not in asked.headers for asked in studio.asked)


@pytest.mark.parametrize("path", ["/api/users", "/health", "/data/../api/users"])
def test_a_reported_host_serves_media_and_nothing_else(studio, library, path):
    with pytest.raises(MediaError, match="no host that media may come from"):
        library().resolve(studio.url + path, LabelStudioAccess(studio.url, SecretStr(TOKEN)))
    assert studio.asked == []


# --- other hosts


def test_an_allowed_host_is_asked_without_the_token(studio, elsewhere, library):
    host = elsewhere.url.removeprefix("http://")
    media = library(label_studio_url=studio.url, token=TOKEN, allowed_hosts=(host,))
    assert media.resolve(elsewhere.url + "/clip.mp4").read_bytes() == CLIP
    assert "Authorization" not in elsewhere.asked[0].headers


@pytest.mark.parametrize("allowed", [(), ("127.0.0.1:1",), ("127.0.0.2",), ("localhost",)])
def test_another_host_is_not_asked(studio, elsewhere, library, allowed):
    media = library(label_studio_url=studio.url, token=TOKEN, allowed_hosts=allowed)
    with pytest.raises(MediaError, match="KEYTRACK_ALLOWED_HOSTS"):
        media.resolve(elsewhere.url + "/clip.mp4")
    assert elsewhere.asked == []


ELSEWHERE = [
    "http://127.0.0.1:{port}",
    "http://127.1:{port}",
    "http://2130706433:{port}",
    "http://0x7f000001:{port}",
    "http://0177.0.0.1:{port}",
    "http://0:{port}",
    "http://[::1]:{port}",
    "http://[::ffff:127.0.0.1]:{port}",
    "http://[::ffff:7f00:1]:{port}",
    "http://localhost:{port}",
    "http://LOCALHOST.:{port}",
    "http://media.example.com.127.0.0.1.nip.io:{port}",
    "http://media.example.com\\.evil:{port}",
    "http://media.example.com:80\\@127.0.0.1:{port}",
    "http://media.example.com@127.0.0.1:{port}",
    "http://127.0.0.1:{port}#@media.example.com",
    "http://127.0.0.1:{port}?@media.example.com",
    "http://media.example.com%00.127.0.0.1:{port}",
    "http://\uff11\uff12\uff17.0.0.1:{port}",
]


@pytest.mark.parametrize("address", ELSEWHERE)
@pytest.mark.parametrize("way", ["value", "redirect"])
def test_no_way_to_write_an_address_leads_to_a_host_that_nobody_named(studio, elsewhere, library, address, way):
    url = address.format(port=elsewhere.url.rpartition(":")[2]) + "/clip.mp4"
    studio.routes[UPLOAD] = Answer(302, b"", {"Location": quote(url, safe=":/?#[]@!$&'()*+,;=%\\")})
    media = library(label_studio_url=studio.url, token=TOKEN, allowed_hosts=("media.example.com",))
    with pytest.raises(MediaError, match=r"no host that media may come from|user name|not an address|names no host"):
        media.resolve(url if way == "value" else UPLOAD)
    assert elsewhere.asked == []


def test_what_is_no_plain_file_is_not_read(library, tmp_path):
    """A pipe would be waited for."""
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(MediaError, match="no such file"):
        library(media_root=tmp_path).resolve("clip.mp4")


def test_a_redirect_to_an_allowed_host_is_followed_without_the_token(studio, elsewhere, library):
    studio.routes[UPLOAD] = Answer(303, b"", {"Location": elsewhere.url + "/clip.mp4?X-Amz-Signature=s"})
    host = elsewhere.url.removeprefix("http://")
    media = library(label_studio_url=studio.url, token=TOKEN, allowed_hosts=(host,))
    assert media.resolve(UPLOAD).read_bytes() == CLIP
    assert studio.asked[0].headers["Authorization"] == f"Token {TOKEN}"
    assert "Authorization" not in elsewhere.asked[0].headers


def test_a_redirect_to_another_host_is_not_followed(studio, elsewhere, library):
    studio.routes[UPLOAD] = Answer(302, b"", {"Location": elsewhere.url + "/clip.mp4"})
    with pytest.raises(MediaError, match="no host that media may come from"):
        library(label_studio_url=studio.url, token=TOKEN).resolve(UPLOAD)
    assert elsewhere.asked == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/clip.mp4", "gopher://127.0.0.1/"])
def test_a_redirect_out_of_the_web_is_not_followed(studio, library, target):
    studio.routes[UPLOAD] = Answer(302, b"", {"Location": target})
    with pytest.raises(MediaError, match="only http and https"):
        library(label_studio_url=studio.url, token=TOKEN).resolve(UPLOAD)


def test_redirects_end(studio, library):
    studio.routes[UPLOAD] = Answer(302, b"", {"Location": UPLOAD})
    with pytest.raises(MediaError, match="more than 5 redirects"):
        library(label_studio_url=studio.url, token=TOKEN).resolve(UPLOAD)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "names no video"),
        ("  ", "names no video"),
        ("file:///etc/passwd", "only http and https"),
        ("s3://bucket/clip.mp4", "only http and https"),
        ("http://user:pw@127.0.0.1/clip.mp4", "user name or password"),
        ("http:///clip.mp4", "names no host"),
        ("http://[::1/clip.mp4", "not an address"),
        ("http://127.0.0.1:99999/clip.mp4", "is not an address"),
        ("//127.0.0.1/clip.mp4", "only http and https"),
    ],
)
def test_a_value_that_is_no_place_for_a_video(library, value, message):
    with pytest.raises(MediaError, match=message) as caught:
        library(label_studio_url="http://127.0.0.1:9", token=TOKEN).resolve(value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "address", "refused"),
    [
        ("studio.reported", "169.254.169.254", True),
        ("studio.reported", "fe80::1%eth0", True),
        ("studio.reported", "::ffff:169.254.169.254", True),
        ("studio.reported", "64:ff9b::a9fe:a9fe", True),
        ("studio.reported", "2002:a9fe:a9fe::1", True),
        ("studio.reported", "100.100.100.200", True),
        ("studio.reported", "::ffff:168.63.129.16", True),
        ("studio.reported", "fd00:ec2::254", True),
        ("studio.reported", "64:ff9b::5db8:d822", False),
        ("studio.reported", "fd00::7", False),
        ("studio.reported", "0.0.0.0", True),
        ("studio.reported", "224.0.0.1", True),
        ("studio.reported", "127.0.0.1", False),
        ("studio.reported", "::1", False),
        ("studio.reported", "10.0.0.7", False),
        ("studio.reported", "93.184.216.34", False),
        ("media.allowed", "169.254.169.254", False),
        ("studio.configured", "169.254.169.254", False),
    ],
)
def test_where_a_host_may_resolve_to(host, address, refused):
    rules = HostRules(("media.allowed",), "http://studio.configured")
    if refused:
        with pytest.raises(MediaError, match="reserved network address"):
            rules.check_address(host, 80, address)
    else:
        rules.check_address(host, 80, address)


def test_the_address_is_checked_where_the_connection_is_made(studio, library, monkeypatch):
    media = library()
    seen = []

    def refuse(self: HostRules, host: str, port: int, address: str) -> None:
        seen.append((host, port, address))
        raise MediaError("not there")

    monkeypatch.setattr(HostRules, "check_address", refuse)
    with pytest.raises(MediaError, match="not there"):
        media.resolve(UPLOAD, LabelStudioAccess(studio.url.replace("127.0.0.1", "localhost")))
    assert seen[0][0] == "localhost"
    assert seen[0][2] in ("127.0.0.1", "::1")
    assert studio.asked == []


def test_signatures_stay_out_of_what_is_shown():
    assert shown("https://user:pw@host:1/a/b.mp4?X-Amz-Signature=secret#f") == "https://host:1/a/b.mp4"
    assert origin("HTTPS://Host/x") == ("https", "host", 443)


# --- plain paths


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "clip.mp4").write_bytes(CLIP)
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (root / "inner.mp4").symlink_to(root / "sub" / "clip.mp4")
    (root / "escape.mp4").symlink_to(tmp_path / "secret.mp4")
    (root / "out").symlink_to(tmp_path)
    return root


def test_paths_under_the_media_root(library, root):
    media = library(media_root=root)
    clip = root / "sub" / "clip.mp4"
    for value in (str(clip), "sub/clip.mp4", "sub/../sub/clip.mp4", "inner.mp4"):
        assert media.resolve(value) == media.at_hand(value) == clip
    assert media.at_hand("../secret.mp4") is media.at_hand("out/secret.mp4") is None


@pytest.mark.parametrize(
    "value",
    ["../secret.mp4", "{root}/../secret.mp4", "escape.mp4", "out/secret.mp4", "/etc/passwd", "{root}-other/a.mp4"],
)
def test_paths_that_lead_out_of_the_media_root(library, root, value):
    with pytest.raises(MediaError, match="lies outside the media root"):
        library(media_root=root).resolve(value.format(root=root))


@pytest.mark.parametrize("value", ["/data/local-files/?d=../secret.mp4", "/data/local-files/?d=escape.mp4"])
def test_local_files_do_not_lead_out_of_the_media_root_either(library, root, value):
    with pytest.raises(MediaError, match="address is not known"):
        library(media_root=root).resolve(value)


@pytest.mark.parametrize("value", ["none.mp4", "sub", "sub/clip.mp4/x"])
def test_a_path_with_no_file(library, root, value):
    with pytest.raises(MediaError, match="no such file"):
        library(media_root=root).resolve(value)


@pytest.mark.parametrize("value", ["a\0b.mp4", "x" * 5000 + ".mp4"])
def test_a_path_that_cannot_be(library, root, value):
    with pytest.raises(MediaError):
        library(media_root=root).resolve(value)


def test_without_a_media_root_no_path_is_read(library, root):
    with pytest.raises(MediaError, match="KEYTRACK_MEDIA_ROOT"):
        library().resolve(str(root / "sub" / "clip.mp4"))


# --- the download itself


def leftovers(tmp_path: Path) -> list[str]:
    directory = tmp_path / "data" / "media"
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(200, bytes((1 << 20) + 1)), "larger than 1048576 bytes"),
        (Answer(200, b""), "empty file"),
        (Answer(200, CLIP, length=len(CLIP) + 10), "ended early"),
        (Answer(200, b" \n<HTML><body>", {"Content-Type": "video/mp4"}), "web page"),
        (Answer(200, b"{}", {"Content-Type": "application/json"}), "web page"),
        (Answer(500), "answered 500"),
        (Answer(404), "answered 404"),
    ],
)
def test_a_failed_download_leaves_nothing_behind(elsewhere, library, tmp_path, answer, message):
    elsewhere.routes["/clip.mp4"] = answer
    media = library(allowed_hosts=("127.0.0.1",))
    with pytest.raises(MediaError, match=message):
        media.resolve(elsewhere.url + "/clip.mp4")
    assert leftovers(tmp_path) == []
    elsewhere.routes["/clip.mp4"] = Answer(200, CLIP)
    assert media.resolve(elsewhere.url + "/clip.mp4").read_bytes() == CLIP


def test_a_declared_size_above_the_cap_is_not_read(elsewhere, library):
    elsewhere.routes["/clip.mp4"] = Answer(200, b"", length=1 << 40)
    with pytest.raises(MediaError, match="larger than"):
        library(allowed_hosts=("127.0.0.1",)).resolve(elsewhere.url + "/clip.mp4")


def test_requests_for_one_file_share_one_download(elsewhere, library):
    entered, release = threading.Event(), threading.Event()

    def slow(asked: Asked) -> Answer:
        entered.set()
        release.wait(PATIENCE)
        return Answer(200, CLIP)

    elsewhere.routes["/clip.mp4"] = slow
    media = library(allowed_hosts=("127.0.0.1",))
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(media.resolve(elsewhere.url + "/clip.mp4"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert entered.wait(PATIENCE)
    time.sleep(0.05)  # the others reach the lock; were they not kept there, they would ask too
    release.set()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1 and len(paths) == 4
    assert len(elsewhere.asked) == 1


def test_a_damaged_copy_is_fetched_again(studio, library):
    media = library(label_studio_url=studio.url, token=TOKEN)
    media.resolve(UPLOAD).write_bytes(b"short")
    assert media.resolve(UPLOAD).read_bytes() == CLIP
    assert len(studio.asked) == 2


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("conditional", [True, False])
def test_a_file_that_may_change_is_asked_for_again_after_a_while(elsewhere, tmp_path, conditional):
    content = {"etag": '"1"', "body": CLIP}

    def serve(asked: Asked) -> Answer:
        if conditional and asked.headers.get("If-None-Match") == content["etag"]:
            return Answer(304)
        return Answer(200, content["body"], {"ETag": content["etag"]})

    elsewhere.routes["/clip.mp4"] = serve
    url, clock = elsewhere.url + "/clip.mp4", Clock()
    store = DownloadStore(tmp_path / "media", 1 << 20, clock=clock)

    def get() -> Path:
        return store.get(
            url, ".mp4", lambda headers, line: requests.get(url, headers=dict(headers), stream=True, timeout=10)
        )

    first = get()
    assert get() == first and len(elsewhere.asked) == 1
    clock.now += FRESH_SECONDS + 1
    assert get() == first and len(elsewhere.asked) == 2
    content.update(etag='"2"', body=CLIP + b"more")
    assert get() == first and len(elsewhere.asked) == 2
    clock.now += FRESH_SECONDS + 1
    second = get()
    assert second != first and second.read_bytes() == CLIP + b"more"
    assert not first.exists()


def test_an_unreachable_source_leaves_the_copy_in_use(library):
    with web_server({"/clip.mp4": Answer(200, CLIP)}) as site:
        url = site.url + "/clip.mp4"
        path = library(allowed_hosts=("127.0.0.1",)).resolve(url)
    assert library(allowed_hosts=("127.0.0.1",)).resolve(url) == path
    with pytest.raises(MediaError, match="cannot be reached"):
        library(allowed_hosts=("127.0.0.1",)).resolve(url.replace("clip", "other"))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("v=1&X-Amz-Date=1&X-Amz-Signature=a", "v=1&X-Amz-Date=2&X-Amz-Signature=b", True),
        ("v=1&X-Goog-Signature=a", "v=2&X-Goog-Signature=a", False),
        ("Signature=a&Expires=1&AWSAccessKeyId=k", "Signature=b&Expires=2&AWSAccessKeyId=k", True),
        ("sig=a&se=1", "sig=b&se=2", True),
        ("se=1", "se=2", False),
        ("v=1", "v=2", False),
    ],
)
def test_a_new_signature_is_no_new_file(elsewhere, library, first, second, same):
    media = library(allowed_hosts=("127.0.0.1",))
    url = elsewhere.url + "/clip.mp4?"
    assert (media.resolve(url + first) == media.resolve(url + second)) is same


def test_a_closed_library_downloads_nothing_more(elsewhere, library, tmp_path):
    media = library(allowed_hosts=("127.0.0.1",))
    media.close()
    with pytest.raises(MediaError, match="shutting down"):
        media.resolve(elsewhere.url + "/clip.mp4")
    assert leftovers(tmp_path) == []


def test_no_token_or_signature_in_logs_files_or_representations(studio, library, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    media = library(label_studio_url=studio.url, token=TOKEN)
    media.resolve(UPLOAD + "?X-Amz-Signature=signed")
    written = "".join(path.read_text() for path in (tmp_path / "data" / "media").glob("*.json"))
    seen = caplog.text + written + repr(LabelStudioAccess(studio.url, SecretStr(TOKEN)))
    assert "fetched" in caplog.text
    assert TOKEN not in seen
    assert "signed" not in seen
