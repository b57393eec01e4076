"""From what a task says its video is to a file on this disk.

A task names Label Studio uploads (``/data/upload/...``), files of a Local Files storage (``/data/local-files/?d=...``),
http(s) addresses, or plain paths under one allowed directory. What must be fetched is fetched once.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, parse_qs, unquote, urljoin, urlsplit

import requests
from pydantic import SecretStr

from backend.errors import LabelStudioError, MediaError
from backend.labelstudio.client import CONNECT_TIMEOUT, NOT_NOW, NoAuth, TokenAuth, direct
from backend.labelstudio.downloads import DownloadStore, Unreachable
from backend.labelstudio.hosts import GuardedAdapter, HostRules, origin, same_site, shown, unsigned
from backend.labelstudio.lines import Line
from backend.labelstudio.room import Room

log = logging.getLogger(__name__)

UPLOADS = "/data/upload/"
LOCAL_FILES = "/data/local-files"
SIGNED_PATHS = ("/data/", "/tasks/", "/projects/")  # where Label Studio serves media; the token goes nowhere else
LOGIN = "/user/login"
MAX_REDIRECTS = 5
READ_TIMEOUT = 60.0
TO_BE_SET = (
    "set KEYTRACK_LABEL_STUDIO_URL and KEYTRACK_LABEL_STUDIO_TOKEN (a personal access token, or a legacy token where "
    "the organization has those switched on)"
)


@dataclass(frozen=True)
class LabelStudioAccess:
    """What a call to ``/setup`` reported: where Label Studio is, and the token of the project's creator."""

    url: str
    token: SecretStr | None = field(default=None, repr=False)


class MediaSettings(Protocol):
    """The part of :class:`backend.settings.Settings` that concerns media."""

    @property
    def data_dir(self) -> Path: ...
    @property
    def media_root(self) -> Path | None: ...
    @property
    def label_studio_url(self) -> str | None: ...
    @property
    def label_studio_token(self) -> SecretStr | None: ...
    @property
    def allowed_hosts(self) -> tuple[str, ...]: ...
    @property
    def max_media_bytes(self) -> int: ...
    @property
    def media_cache_bytes(self) -> int | None: ...


@dataclass(frozen=True)
class _Source:
    """A Label Studio as a fetch sees it."""

    url: str
    auth: TokenAuth | None
    configured: bool

    def serves(self, address: str) -> bool:
        """Whether the address is on this Label Studio."""
        return same_site(origin(self.url), origin(address))

    def serves_media(self, address: str) -> bool:
        """Whether the address is one at which this Label Studio serves media."""
        path = unquote(urlsplit(address).path).removeprefix(urlsplit(self.url).path)
        return self.serves(address) and path.startswith(SIGNED_PATHS) and ".." not in path.split("/")


class MediaLibrary:
    """Finds the local file for a task's video, and fetches it where that is needed. Threads may share it.

    The configured token is sent to the configured Label Studio and to nobody else, a token that ``/setup`` reported
    to the host that it reported with. Other hosts are asked only if ``allowed_hosts`` names them, without a token.

    What was fetched stays where it is for as long as what goes on on the thread has it in use, see
    :mod:`backend.labelstudio.in_use`; afterwards it may make room for other files.

    Args:
        settings: where media are kept, how many, and where they may come from.
        leaving: told of a fetched file before it makes room.
    """

    def __init__(self, settings: MediaSettings, leaving: Callable[[Path], None] = lambda path: None) -> None:
        self._settings = settings
        self._rules = HostRules(settings.allowed_hosts, settings.label_studio_url)
        directory = settings.data_dir / "media"
        room = Room(directory, settings.media_cache_bytes, leaving=leaving)
        self._store = DownloadStore(directory, int(settings.max_media_bytes), room=room)
        self._auths: dict[tuple[str, str], TokenAuth] = {}
        self._lock = threading.Lock()

    def resolve(self, value: str, reported: LabelStudioAccess | None = None) -> Path:
        """The file for a task's value; blocks while it is fetched, and shares a fetch that is under way.

        Raises:
            MediaError: refused by a rule, missing, unreachable, too large, a web page instead of a video, or a
                token that is missing or refused.
        """
        value = value.strip()
        if not value:
            raise MediaError("the task names no video: its value is empty")
        found = self._local(value)
        if found is not None:
            return found
        source = self._source(reported)
        address = self._address(value, source, reported)
        immutable = source is not None and source.serves(address) and UPLOADS in urlsplit(address).path
        return self._store.get(address, _suffix(address), partial(self._open, address, source), immutable=immutable)

    def at_hand(self, value: str, reported: LabelStudioAccess | None = None) -> Path | None:
        """The file for a task's value where it is on this disk already; None where it would have to be fetched, or
        cannot be had."""
        try:
            found = self._local(value.strip())
            if found is not None:
                return found
            return self._store.at_hand(self._address(value.strip(), self._source(reported), reported))
        except MediaError:
            return None

    def use(self, path: Path) -> bool:
        """Have a file in use that was found before; False where it is gone."""
        return self._store.use(path)

    def held(self) -> int:
        """Bytes of the files that were fetched and are still there."""
        return self._store.held()

    def close(self) -> None:
        """End downloads that are under way."""
        self._store.close()

    def _local(self, value: str) -> Path | None:
        """The file under the media root that the value names; None where the value is Label Studio's to serve."""
        root = self._settings.media_root
        parts = _split(value)
        if parts.path.rstrip("/").endswith(LOCAL_FILES):
            names = parse_qs(parts.query).get("d", [])
            if root is None or len(names) != 1:
                return None
            candidate = _inside(root, names[0].lstrip("/"))
            return candidate if candidate is not None and _is_file(candidate) else None
        if parts.scheme or parts.netloc:
            return None
        candidate = None if root is None else _inside(root, value)
        if candidate is not None and _is_file(candidate):
            return candidate
        if "/data/" in parts.path and value.startswith("/"):
            return None
        if root is None:
            raise MediaError(
                f"{_brief(value)} is a plain path, and none is allowed: set KEYTRACK_MEDIA_ROOT / --media-root to the "
                "directory that holds the videos"
            )
        if candidate is None:
            raise MediaError(f"{_brief(value)} lies outside the media root (KEYTRACK_MEDIA_ROOT / --media-root)")
        raise MediaError(f"{_brief(value)}: there is no such file under the media root")

    def _source(self, reported: LabelStudioAccess | None) -> _Source | None:
        """The configured Label Studio where there is one, else the reported one."""
        url, token = self._settings.label_studio_url, self._settings.label_studio_token
        reported_token = reported.token if reported is not None else None
        if url is not None:
            return _Source(url, self._auth(url, token or reported_token), configured=True)
        if reported is None or not reported.url:
            return None
        return _Source(reported.url.rstrip("/"), self._auth(reported.url, reported_token), configured=False)

    def _auth(self, url: str, token: SecretStr | None) -> TokenAuth | None:
        """One per address and token, so that an access token serves until it expires."""
        if token is None or not token.get_secret_value():
            return None
        with self._lock:
            return self._auths.setdefault((url, token.get_secret_value()), TokenAuth(url, token))

    def _address(self, value: str, source: _Source | None, reported: LabelStudioAccess | None) -> str:
        """The value as an absolute address."""
        parts = _split(value)
        if not parts.scheme and not parts.netloc:
            if source is None:
                raise MediaError(
                    f"{shown(value)} is on Label Studio, whose address is not known: set KEYTRACK_LABEL_STUDIO_URL / "
                    "--label-studio-url"
                )
            base = urlsplit(source.url).path
            return source.url + (value.removeprefix(base) if base and value.startswith(base + "/") else value)
        origin(value)
        if source is not None and source.configured and reported is not None and reported.url:
            # Browsers may know Label Studio by another address than the one this backend reaches it at.
            public = reported.url.rstrip("/")
            if value.startswith(public + "/"):
                return source.url + value.removeprefix(public)
        return value

    def _open(self, address: str, source: _Source | None, headers: Mapping[str, str], line: Line) -> requests.Response:
        """The answer (200 or 304) with its body still to read, after every redirect was checked."""
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, GuardedAdapter(self._rules.check_address, line))
            session.headers["Accept-Encoding"] = "identity"
            renewed = False
            hops = 0
            while True:
                self._check(address, source)
                auth = source.auth if source is not None and source.serves_media(address) else None
                response = _request(session, address, auth, headers)
                if response.status_code == 401 and auth is not None and not renewed and auth.renew():
                    renewed = True
                elif response.is_redirect:
                    target = urljoin(address, response.headers["Location"])
                    if source is not None and source.serves(target) and LOGIN in urlsplit(target).path:
                        raise _refused(source, address)
                    hops += 1
                    if hops > MAX_REDIRECTS:
                        raise MediaError(f"{shown(address)}: more than {MAX_REDIRECTS} redirects")
                    address = target
                else:
                    self._examine(response, address, source)
                    return response
                response.close()

    def _check(self, address: str, source: _Source | None) -> None:
        """Refuse a host nobody configured; one that was only reported serves nothing but media."""
        host = origin(address)[1]
        if self._rules.permits(address) or (source is not None and source.configured and source.serves(address)):
            return
        if source is not None and source.serves_media(address):
            return
        raise MediaError(
            f"{shown(address)}: {host} is no host that media may come from; if it is right, name it in "
            "KEYTRACK_ALLOWED_HOSTS / --allowed-hosts"
        )

    def _examine(self, response: requests.Response, address: str, source: _Source | None) -> None:
        """Let pass only an answer that may be a video."""
        status = response.status_code
        ours = source is not None and source.serves(address)
        if status in (200, 304):
            if not _is_page(response):
                return
            if ours and source is not None:
                raise _refused(source, address)
            raise MediaError(f"{shown(address)} answered a web page instead of a video")
        if status in (401, 403) and ours and source is not None:
            raise _refused(source, address)
        if status == 404 and ours and LOCAL_FILES in address:
            raise MediaError(
                f"{shown(address)}: Label Studio answered 404. It serves a local file only if a Local Files storage of "
                "the project covers it"
            )
        kind = Unreachable if status in NOT_NOW else MediaError
        raise kind(f"{shown(address)} answered {status} {response.reason or ''}".rstrip())


def _request(
    session: requests.Session, address: str, auth: TokenAuth | None, headers: Mapping[str, str]
) -> requests.Response:
    try:
        return session.get(
            address,
            auth=auth or NoAuth(),
            headers=dict(headers),
            stream=True,
            allow_redirects=False,
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            **direct(address),
        )
    except LabelStudioError as error:
        raise (Unreachable if error.passing else MediaError)(f"{shown(address)}: {error}") from None
    except (requests.ConnectionError, requests.Timeout) as error:  # its text may hold a signed address
        raise Unreachable(f"{shown(address)} cannot be reached ({type(error).__name__})") from None
    except (requests.RequestException, ValueError) as error:
        raise MediaError(f"{shown(address)} cannot be fetched ({type(error).__name__})") from None


def _refused(source: _Source, address: str) -> MediaError:
    state = "refused the token" if source.auth is not None else "wants a token, and none is known"
    return MediaError(f"{shown(address)}: Label Studio {state}; {TO_BE_SET}")


def _is_page(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml", "application/json")


def _brief(value: str) -> str:
    value = unsigned(value)
    return repr(value if len(value) <= 200 else value[:200] + "...")


def _inside(root: Path, name: str) -> Path | None:
    """The path below the root, symbolic links followed; None where it leads out of the root."""
    try:
        path = (root / name).resolve()
        return path if path.is_relative_to(root.resolve()) else None
    except (OSError, ValueError, RuntimeError):  # a NUL, too long a name, a loop of links
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long a name
        return False


def _split(value: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError as error:
        raise MediaError(f"the task's video is not an address or a path: {error}") from None


def _suffix(address: str) -> str:
    """The file's extension, which demuxers look at; empty where there is none to trust."""
    parts = urlsplit(address)
    path = parse_qs(parts.query).get("d", [""])[0] if parts.path.rstrip("/").endswith(LOCAL_FILES) else parts.path
    match = re.search(r"\.[a-z0-9]{2,5}$", path.lower())
    return match.group() if match else ""
