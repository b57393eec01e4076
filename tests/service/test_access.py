"""Who may call: basic authentication, the secret of webhooks, and that neither is shown anywhere."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.errors import SettingsError
from backend.service.access import HEADER, Access
from backend.service.app import create_app
from backend.settings import load_settings
from support.service import Service

NAME, PASSWORD, SECRET = "team", "pässword:1", "s3cret"
GUARDED = [("GET", "/"), ("GET", "/health"), ("GET", "/versions"), ("GET", "/metrics"), ("POST", "/setup")]
GUARDED += [("POST", "/predict"), ("GET", "/no-such-page")]


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return create_app(service.keytrack, Access((NAME, PASSWORD), SECRET)).test_client()


@pytest.mark.parametrize(("method", "path"), GUARDED, ids=[f"{method} {path}" for method, path in GUARDED])
@pytest.mark.parametrize(
    "auth", [None, (NAME, "wrong"), ("other", PASSWORD), (NAME, ""), ("", "")], ids=["none", "pw", "user", "no pw", "-"]
)
def test_everything_asks_for_the_password(
    client: FlaskClient, method: str, path: str, auth: tuple[str, str] | None
) -> None:
    reply = client.open(path, method=method, json={} if method == "POST" else None, auth=auth)
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"].startswith("Basic")
    assert reply.get_json()["error"]["code"] == "unauthorized"


def test_with_the_password_it_answers(client: FlaskClient) -> None:
    assert client.get("/health", auth=(NAME, PASSWORD)).status_code == 200


def test_the_secret_is_no_password_for_the_rest(client: FlaskClient) -> None:
    assert client.get("/health", headers={HEADER: SECRET}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [({HEADER: SECRET}, 200), ({HEADER: "wrong"}, 401), ({}, 401)],
    ids=["right", "wrong", "none"],
)
def test_webhooks_bring_the_secret(client: FlaskClient, headers: dict[str, str], status: int) -> None:
    reply = client.post("/webhook", json={"action": "PROJECT_UPDATED"}, headers=headers)
    assert reply.status_code == status


def test_a_password_alone_shuts_webhooks_out(service: Service) -> None:
    client = create_app(service.keytrack, Access((NAME, PASSWORD))).test_client()
    body = {"action": "PROJECT_UPDATED"}
    assert client.post("/webhook", json=body, auth=(NAME, PASSWORD)).status_code == 401
    assert client.post("/webhook", json=body, headers={HEADER: ""}).status_code == 401


def test_a_secret_alone_leaves_the_rest_open(service: Service) -> None:
    client = create_app(service.keytrack, Access(secret=SECRET)).test_client()
    assert client.get("/health").status_code == 200
    assert client.post("/webhook", json={"action": "PROJECT_UPDATED"}).status_code == 401


def test_without_either_everybody_may_call(service: Service) -> None:
    client = create_app(service.keytrack, Access()).test_client()
    assert client.get("/health").status_code == 200
    assert client.post("/webhook", json={"action": "PROJECT_UPDATED"}).status_code == 200


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Bearer abc", "Basic \xff", "Basic Og=="])
def test_a_broken_header_is_refused(client: FlaskClient, header: str) -> None:
    assert client.get("/health", headers={"Authorization": header}).status_code == 401


def test_nothing_of_it_is_logged(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.get("/health", auth=(NAME, "wrong-password"))
        client.post("/webhook", json={}, headers={HEADER: "wrong-secret"})
    assert "refused" in caplog.text
    assert not [word for word in (PASSWORD, SECRET, "wrong-password", "wrong-secret") if word in caplog.text]


@pytest.mark.parametrize(
    ("values", "access"),
    [
        ({}, Access()),
        ({"username": NAME, "password": PASSWORD}, Access((NAME, PASSWORD))),
        ({"username": NAME, "password": PASSWORD, "webhook_secret": SECRET}, Access((NAME, PASSWORD), SECRET)),
        ({"webhook_secret": SECRET}, Access(secret=SECRET)),
    ],
    ids=["none", "login", "both", "secret"],
)
def test_the_settings_say_it(values: dict[str, Any], access: Access) -> None:
    assert Access.of(load_settings(**values)) == access
    assert not [word for word in (PASSWORD, SECRET) if word in repr(access)]


@pytest.mark.parametrize("values", [{"username": NAME}, {"password": PASSWORD}], ids=["name", "password"])
def test_half_a_login_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="KEYTRACK_USERNAME, KEYTRACK_PASSWORD"):
        Access.of(load_settings(**values))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"username": NAME, "password": PASSWORD}, "webhooks are refused"),
        ({"webhook_secret": SECRET}, "everybody may call the rest"),
        ({"username": NAME, "password": PASSWORD, "webhook_secret": SECRET}, ""),
        ({}, ""),
    ],
    ids=["login", "secret", "both", "none"],
)
def test_that_half_of_it_is_missing_is_said(
    values: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    Access.of(load_settings(**values))
    assert said in caplog.text and bool(said) == bool(caplog.records)
