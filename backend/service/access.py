"""Who may call the service: basic authentication, and a shared secret for webhooks.

Label Studio sends a backend's user name and password with each of its calls but webhooks, which carry no credentials
of their own: for those a header with a secret can be set in Label Studio.
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass, field

from flask import Flask, Response, jsonify, request

from backend.errors import SettingsError
from backend.settings import Settings

WEBHOOK = "/webhook"
HEADER = "X-Keytrack-Secret"
"""In which a webhook brings the secret."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Access:
    """What callers have to know; with neither of them everybody may call.

    Attributes:
        login: user name and password.
        secret: of webhooks.
    """

    login: tuple[str, str] | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """As the settings say.

        Raises:
            SettingsError: a user name without a password, or the reverse.
        """
        password = None if settings.password is None else settings.password.get_secret_value()
        if (settings.username is None) != (password is None):
            raise SettingsError("KEYTRACK_USERNAME, KEYTRACK_PASSWORD: one of them is missing; set both, or neither")
        login = None if settings.username is None or password is None else (settings.username, password)
        secret = None if settings.webhook_secret is None else settings.webhook_secret.get_secret_value()
        if login is not None and secret is None:
            logger.warning("webhooks are refused, since they carry no password: set KEYTRACK_WEBHOOK_SECRET")
        if login is None and secret is not None:
            logger.warning(
                "KEYTRACK_WEBHOOK_SECRET is for webhooks alone, and everybody may call the rest: set KEYTRACK_USERNAME "
                "and KEYTRACK_PASSWORD too"
            )
        return cls(login, secret)

    def protect(self, app: Flask) -> None:
        """Have every request to ``app`` asked."""
        if self.login is not None or self.secret is not None:
            app.before_request(self._ask)

    def _ask(self) -> tuple[Response, int, dict[str, str]] | None:
        if request.path == WEBHOOK:
            given = request.headers.get(HEADER, "")
            allowed = self.secret is not None and _same(given, self.secret)
            return None if allowed else _refuse(f"a webhook has to bring the secret in its header {HEADER}")
        if self.login is None:
            return None
        try:
            shown = request.authorization
        except ValueError:  # werkzeug, about a header that is not ASCII
            shown = None
        pair = ("", "") if shown is None else (shown.username or "", shown.password or "")
        # Both are compared, whatever the first comparison finds: how long it takes tells nothing.
        right = [_same(one, other) for one, other in zip(pair, self.login, strict=True)]
        return None if all(right) else _refuse("a user name and a password are needed, as basic authentication")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refuse(message: str) -> tuple[Response, int, dict[str, str]]:
    logger.warning("%s %s: refused", request.method, request.path)
    body = jsonify(error={"code": "unauthorized", "message": message})
    return body, 401, {"WWW-Authenticate": 'Basic realm="keytrack"'}
