"""Tokens, passwords and signatures: whatever goes wrong, they are in nothing that the service says."""

from __future__ import annotations

import base64
import io
import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from backend import logs
from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudioClient
from backend.logs import Format
from backend.service.access import HEADER, Access
from backend.service.app import create_app
from support.http import Answer, Asked, WebServer, web_server
from support.service import CONFIG, DRAWN, Item, Service, clip, press, region, task

MARKS = {
    "configured": "5ec4e7c0000000000000000000000000000000aa",
    "reported": "5ec4e7c0000000000000000000000000000000bb",
    "personal": "eyJ5ec4e7c1.eyJ5ec4e7c2.5ec4e7c3",
    "access": "eyJ5ec4e7c4.eyJ5ec4e7c5.5ec4e7c6",
    "extra": "5ec4e7-extra",
    "signature": "5ec4e7-signature",
    "password": "5ec4e7-password",
    "wrong password": "5ec4e7-mistyped",
    "webhook": "5ec4e7-webhook",
    "user of an address": "5ec4e7-user",
}
"""Each secret has this in it, as it is and in every encoding that keeps letters."""
MARK = "5ec4e7"

KINDS = ("echo-401", "echo-403", "echo-404", "echo-500", "echo-400", "page", "away", "login", "broken", "empty", "text")


def studio_route(kind: str, elsewhere: str) -> Any:
    """A Label Studio that answers with an error and repeats in it all that it was sent."""

    def answer(asked: Asked) -> Answer:
        echo = json.dumps({"detail": f"{asked.headers} {asked.path} {asked.body!r}"}).encode()
        if kind.startswith("echo-"):
            return Answer(int(kind[5:]), echo, {"Content-Type": "application/json"})
        if kind == "page":
            return Answer(200, b"<!DOCTYPE html>" + echo, {"Content-Type": "text/html"})
        if kind == "away":
            return Answer(302, b"", {"Location": f"{elsewhere}/a.mp4?sig={MARKS['signature']}&se=1"})
        if kind == "login":
            return Answer(302, b"", {"Location": f"/user/login/?next={MARKS['signature']}"})
        if kind == "broken":
            return Answer(200, echo, {"Content-Type": "video/mp4"}, length=1 << 19)
        return Answer(200, b"" if kind == "empty" else echo, {"Content-Type": "video/mp4"})

    return answer


@pytest.fixture
def elsewhere() -> Iterator[WebServer]:
    """Another host, to which things are redirected."""
    with web_server({"/a.mp4": Answer(404)}) as site:
        yield site


@pytest.fixture
def studio(elsewhere: WebServer) -> Iterator[WebServer]:
    """Its API fails as well, in the way in which ``/data/upload/1/KIND.mp4`` does that was asked for last."""
    with web_server() as site:
        for kind in KINDS:
            site.routes[f"/data/upload/1/{kind}.mp4"] = studio_route(kind, elsewhere.url)
        yield site


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged at the level debug, by everybody in the process, set up as a service has it."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    urllib3 = logging.getLogger("urllib3").level
    yield io.StringIO()
    root.setLevel(level)
    root.handlers = handlers
    logging.getLogger("urllib3").setLevel(urllib3)


class Caller:
    """Sends requests, and keeps what comes back."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client
        self.answers: list[str] = []

    def __call__(self, method: str, path: str, password: str = MARKS["password"], **further: Any) -> int:
        given = base64.b64encode(f"team:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {given}", **further.pop("headers", {})}
        reply = self._client.open(path, method=method, headers=headers, **further)
        self.answers.append(f"{reply.headers}{reply.get_data().decode(errors='replace')}")
        return reply.status_code


def addresses(studio: str, elsewhere: str) -> Iterator[str]:
    """Videos that tasks may name, of which none can be had."""
    signed = f"sig={MARKS['signature']}&se=1"
    for kind in KINDS:
        yield f"/data/upload/1/{kind}.mp4?{signed}"
        yield f"{studio}/data/upload/1/{kind}.mp4?{signed}"
    yield f"{elsewhere}/a.mp4?X-Amz-Signature={MARKS['signature']}"
    yield f"http://127.0.0.1:9/a.mp4?{signed}"
    yield f"http://{MARKS['user of an address']}:{MARKS['password']}@127.0.0.1/a.mp4"
    yield f"//127.0.0.1/a.mp4?{signed}"
    yield f"ftp://127.0.0.1/a.mp4?{signed}"
    yield f"http://[::1/a.mp4?{signed}"
    yield f"/videos/a.mp4?{signed}"
    yield f"a.mp4?{signed}"


def setups(studio: str) -> Iterator[Item]:
    """What a Label Studio tells of itself: right, and wrong in every field."""
    right: Item = {
        "project": "1.1",
        "schema": "<View/>",
        "hostname": studio,
        "access_token": MARKS["reported"],
        "extra_params": {"key": MARKS["extra"]},
    }
    yield right
    yield {**right, "access_token": {"token": MARKS["reported"]}}
    yield {**right, "access_token": MARKS["reported"] + "\ud800"}
    yield {**right, "hostname": [MARKS["reported"]]}
    yield {**right, "project": {"token": MARKS["reported"]}}
    yield {**right, "project": "2.1", "hostname": f"http://{MARKS['user of an address']}:x@127.0.0.1"}
    yield right


def everything(call: Caller, studio: WebServer, elsewhere: str) -> None:
    """A whole set of requests that go wrong."""
    for body in setups(studio.url):
        call("POST", "/setup", json=body)
    for number, address in enumerate(addresses(studio.url, elsewhere), start=1):
        call("POST", "/predict", json=press(region("a", DRAWN), number=number, video=address))
    for project in ("2", "3"):
        body = press(region("a", DRAWN), number=1, video="clip.mp4")
        call("POST", "/predict", json={**body, "tasks": [{**body["tasks"][0], "project": int(project)}]})
    call("POST", "/predict", data=f'{{"access_token": "{MARKS["reported"]}"')
    call("POST", "/predict", json={"tasks": [MARKS["reported"]], "label_config": CONFIG})
    batch = [task(90, "/data/upload/1/echo-500.mp4?token=" + MARKS["signature"])]
    call("POST", "/predict", json={**press(), "tasks": batch, "params": {"context": None}})
    secret = {HEADER: MARKS["webhook"]}
    for kind in ("echo-401", "echo-403", "echo-500", "away", "page"):
        studio.routes["/api/tasks"] = studio.routes["/api/projects/1"] = studio.routes[f"/data/upload/1/{kind}.mp4"]
        for action in ("START_TRAINING", "TASKS_CREATED", "ANNOTATION_CREATED"):
            told = {"action": action, "project": {"id": 1, "label_config": CONFIG}, "tasks": [task()], "task": task()}
            call("POST", "/webhook", json=told, headers=secret)
    call("POST", "/webhook", json={"action": [MARKS["reported"]]}, headers=secret)
    call("POST", "/webhook", json={"action": "x"}, headers={HEADER: MARKS["webhook"] + "x"})
    for path in ("/", "/?live", "/health", "/metrics", "/tracks", "/tracks/1/1/coco.json", "/tracks/1/1/thumbnail.jpg"):
        for accept in ("text/html", "application/json"):
            call("GET", path, headers={"Accept": accept})
        assert call("GET", path, password=MARKS["wrong password"]) == 401
    call("GET", "/nowhere", headers={"Accept": "text/html"})


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("token", [None, "configured", "personal"])
def test_whatever_goes_wrong_says_no_secret(
    tmp_path: Path, studio: WebServer, elsewhere: WebServer, said: io.StringIO, form: Format, token: str | None
) -> None:
    logging.getLogger().handlers = []
    logs.set_up("debug", form, said)
    studio.routes["/api/token/refresh/"] = Answer(200, json.dumps({"access": MARKS["access"]}).encode())
    clip(tmp_path / "media")
    configured: Item = {}
    if token is not None:
        configured = {"label_studio_url": studio.url, "label_studio_token": SecretStr(MARKS[token])}
    host = elsewhere.url.removeprefix("http://")
    service = Service(tmp_path, allowed_hosts=(host, "127.0.0.1:9"), **configured)
    access = Access(("team", MARKS["password"]), MARKS["webhook"])
    call = Caller(create_app(service.keytrack, access).test_client())
    everything(call, studio, elsewhere.url)
    service.close()
    call("GET", "/health")

    used = {"configured": "configured", "personal": "access", None: "reported"}[token]
    assert any(MARKS[used] in one.headers.get("Authorization", "") for one in studio.asked), "no secret was at stake"
    assert elsewhere.asked and not [one for one in elsewhere.asked if "Authorization" in one.headers]
    assert "127.0.0.1" in said.getvalue()
    kept = [path.read_text() for path in (tmp_path / "data").rglob("*.json")]
    leaks = {line for text in (said.getvalue(), *call.answers, *kept) for line in text.splitlines() if MARK in line}
    assert not leaks, "\n".join(sorted(leaks))


@pytest.mark.parametrize("kind", [*KINDS[:5], "away"])
@pytest.mark.parametrize("token", ["configured", "personal"])
def test_what_label_studio_repeats_of_a_request_is_not_told(studio: WebServer, kind: str, token: str) -> None:
    studio.routes["/api/token/refresh/"] = Answer(200, json.dumps({"access": MARKS["access"]}).encode())
    with pytest.raises(LabelStudioError, match=r"answered \d+: .+") as caught:
        LabelStudioClient(studio.url, MARKS[token]).get(f"/data/upload/1/{kind}.mp4")
    assert MARK not in "".join(traceback.format_exception(caught.value))
