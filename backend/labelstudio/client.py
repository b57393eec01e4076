"""A thin client of Label Studio's HTTP API, and the authentication it shares with the media library.

Two kinds of token exist: the legacy one, sent as ``Token``, and the personal access token, a JWT that is exchanged
for a short-lived access token, sent as ``Bearer``. Either is told from its form.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from pydantic import SecretStr

from backend.errors import LabelStudioError, LabelStudioUnreachable, NotLabelStudioError
from backend.labelstudio.hosts import origin, same_site, shown

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
ACCESS_TTL = 300.0  # seconds, Label Studio's default; the JWT's own "exp" says better where it can be read
REFRESH_MARGIN = 30.0
NOT_NOW = {408, 425, 429, 500, 502, 503, 504}  # statuses that say nothing against the request
NO_PROXIES = {"http": None, "https": None, "all": None}


def is_personal_token(token: str) -> bool:
    """Whether this is a personal access token (a JWT) rather than a legacy one (hexadecimal)."""
    return token.count(".") == 2


def is_loopback(host: str) -> bool:
    """Whether a host name or literal address is this machine's own, which no proxy can reach."""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def direct(url: str) -> dict[str, Any]:
    """Arguments for a request that keep a loopback address from being sent through the environment's proxy."""
    return {"proxies": NO_PROXIES} if is_loopback(origin(url)[1]) else {}


class NoAuth(requests.auth.AuthBase):
    """No credentials at all: without it, requests would look for some in ``~/.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Leave the request as it is."""
        return request


class TokenAuth(requests.auth.AuthBase):
    """Signs requests to one Label Studio, and to nobody else. Threads may share it.

    Raises, when a request is signed:
        LabelStudioError: the personal access token was refused, or Label Studio cannot be reached to exchange it.
    """

    def __init__(self, url: str, token: str | SecretStr, *, clock: Callable[[], float] = time.time) -> None:
        self._url = url.rstrip("/")
        self._origin = origin(url)
        self._token = token if isinstance(token, SecretStr) else SecretStr(token)
        self._clock = clock
        self._lock = threading.Lock()
        self._access = ""
        self._expires = 0.0

    def __repr__(self) -> str:
        return f"TokenAuth({self._url!r})"

    def covers(self, url: str) -> bool:
        """Whether the token may be sent to this address: same scheme, host and port, or the same host by TLS."""
        return same_site(self._origin, origin(url))

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the Authorization header if the request goes to this Label Studio."""
        if request.url is not None and self.covers(request.url):
            request.headers["Authorization"] = self._header()
        return request

    def renew(self) -> bool:
        """Forget the access token after a 401; False where there is none to renew, so that trying again is vain."""
        with self._lock:
            had, self._access = bool(self._access), ""
        return had

    def _header(self) -> str:
        token = self._token.get_secret_value()
        if not is_personal_token(token):
            return f"Token {token}"
        with self._lock:
            if not self._access or self._clock() > self._expires - REFRESH_MARGIN:
                self._access = self._exchange(token)
                self._expires = _expiry(self._access) or self._clock() + ACCESS_TTL
            return f"Bearer {self._access}"

    def _exchange(self, token: str) -> str:
        url = f"{self._url}/api/token/refresh/"
        try:
            reply = requests.post(
                url,
                json={"refresh": token},
                auth=NoAuth(),
                allow_redirects=False,
                timeout=CONNECT_TIMEOUT,
                **direct(url),
            )
        except requests.RequestException as error:
            raise LabelStudioUnreachable(f"{url} cannot be reached ({type(error).__name__})") from None
        if reply.status_code in NOT_NOW:
            raise LabelStudioUnreachable(f"{url} answered {reply.status_code}", _retry_after(reply))
        if reply.status_code in (400, 401, 403):
            raise LabelStudioError(
                f"Label Studio at {self._url} refused the personal access token; it may be expired or revoked. Make a "
                "new one under Account & Settings, Personal Access Token, and set KEYTRACK_LABEL_STUDIO_TOKEN"
            )
        access = _field(reply, "access")
        if not isinstance(access, str):
            raise LabelStudioError(f"{url} answered {reply.status_code} without an access token; is it a Label Studio?")
        return access


class LabelStudioClient:
    """Calls Label Studio's API and gives back the JSON it answers.

    ``url`` is the address people use, without a trailing slash; a path under a host is fine.
    """

    def __init__(self, url: str, token: str | SecretStr, *, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self.auth = TokenAuth(url, token)
        self._timeout = timeout
        self._session = requests.Session()

    def __repr__(self) -> str:
        return f"LabelStudioClient({self.url!r})"

    def close(self) -> None:
        """Drop the connections."""
        self._session.close()

    def get(self, path: str, **params: Any) -> Any:
        """GET ``/api/...`` with query parameters."""
        return self.call("GET", path, params=params)

    def items(self, path: str, **params: Any) -> Iterator[Any]:
        """GET a list, which comes whole or, from other versions of Label Studio, in pages.

        Raises:
            LabelStudioError: as :meth:`call` does, or the answer is no list.
        """
        asked: list[dict[str, Any]] = []
        following: object = None
        while not asked or following:
            answer = self.get(path, **params)
            if isinstance(answer, list):
                yield from answer
                return
            asked.append(params)
            found, following = _page(answer)
            if found is None or (following is not None and not isinstance(following, str)):
                raise LabelStudioError(f"GET {path}: the answer is no list; is {self.url} a Label Studio?")
            yield from found
            # The address may be one by which only Label Studio knows itself.
            params = dict(parse_qsl(urlsplit(following or "").query))
            if following and params in asked:
                raise LabelStudioError(f"GET {path}: its pages never end")

    def post(self, path: str, body: object = None, **params: Any) -> Any:
        """POST a JSON body."""
        return self.call("POST", path, json=body, params=params)

    def patch(self, path: str, body: object) -> Any:
        """PATCH with a JSON body."""
        return self.call("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        """DELETE."""
        return self.call("DELETE", path)

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """One API call; the answer's JSON, or None where it has no body.

        Raises:
            LabelStudioUnreachable: it did not answer, or says that it cannot now.
            NotLabelStudioError: the answer is not JSON.
            LabelStudioError: any other answer that is not a success; the message has what Label Studio said.
        """
        reply = self._succeed(method, path, arguments)
        if not reply.content:
            return None
        try:
            return reply.json()
        except ValueError:
            raise NotLabelStudioError(
                f"{method} {path}: the answer is not JSON; is {self.url} a Label Studio?"
            ) from None

    def read(self, path: str) -> bytes:
        """GET a small file, as people's browsers do.

        Raises:
            LabelStudioError: as :meth:`call`.
        """
        return self._succeed("GET", path, {}).content

    def _succeed(self, method: str, path: str, arguments: dict[str, Any]) -> requests.Response:
        reply = self._send(method, path, arguments)
        if reply.status_code == 401 and self.auth.renew():
            reply = self._send(method, path, arguments)
        if not 200 <= reply.status_code < 300:
            message = f"{method} {path}: Label Studio answered {reply.status_code}: {_reason(reply)}"
            if reply.status_code in NOT_NOW:
                raise LabelStudioUnreachable(message, _retry_after(reply))
            raise LabelStudioError(message)
        return reply

    def _send(self, method: str, path: str, arguments: dict[str, Any]) -> requests.Response:
        url = self.url + path
        try:
            return self._session.request(
                method,
                url,
                auth=self.auth,
                timeout=(CONNECT_TIMEOUT, self._timeout),
                allow_redirects=False,
                **direct(url),
                **arguments,
            )
        except requests.Timeout:
            raise LabelStudioUnreachable(
                f"{method} {path}: no answer from {self.url} within {self._timeout:g} s"
            ) from None
        except requests.RequestException as error:
            raise LabelStudioUnreachable(
                f"{method} {path}: {self.url} cannot be reached ({type(error).__name__})"
            ) from None


def _expiry(access: str) -> float | None:
    """The ``exp`` claim of a JWT in epoch seconds; its signature is Label Studio's to check."""
    try:
        payload = access.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return None


def _retry_after(reply: requests.Response) -> float | None:
    """Seconds that the answer asks to be waited (RFC 9110, 10.2.3); a date is taken by the clock of who sent it."""
    value = reply.headers.get("Retry-After", "")
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        until, now = (parsedate_to_datetime(text) for text in (value, reply.headers.get("Date", "")))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):  # none, or none with a time zone
        return None


def _page(answer: object) -> tuple[list[Any] | None, object]:
    """A page's items, None where it is no page, and the address of the next one."""
    found = answer.get("results") if isinstance(answer, dict) else None
    return (found, answer.get("next")) if isinstance(answer, dict) and isinstance(found, list) else (None, None)


def _field(reply: requests.Response, name: str) -> object:
    try:
        body = reply.json()
    except ValueError:
        return None
    return body.get(name) if isinstance(body, dict) else None


def _reason(reply: requests.Response) -> str:
    if reply.status_code == 401:
        return (
            "the token is missing or refused. Legacy tokens must be switched on for the organization; "
            "or use a personal access token"
        )
    if reply.is_redirect:
        return f"a redirect to {shown(reply.headers.get('Location', ''))}; give the address it leads to"
    detail = _field(reply, "validation_errors") or _field(reply, "detail") or reply.text
    said = detail if isinstance(detail, str) else json.dumps(detail)
    # Some that stand before Label Studio say what they were sent.
    sent = reply.request.headers.get("Authorization", "").partition(" ")[2]
    return (said.replace(sent, "(the token)") if sent else said)[:500]
