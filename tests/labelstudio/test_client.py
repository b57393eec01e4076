"""Tokens and API calls, against a server that speaks Label Studio's words."""

import base64
import json
import logging
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from pydantic import SecretStr

from backend.errors import LabelStudioError, LabelStudioUnreachable, MediaError
from backend.labelstudio.client import LabelStudioClient, TokenAuth, is_personal_token
from support.http import Answer, Asked, WebServer, web_server

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "eyJhbGciOi.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"


def access_token(number: int, expires: float | None = None) -> str:
    claims = {"n": number} if expires is None else {"n": number, "exp": expires}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJh.{payload}.c2ln"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def site():
    with web_server() as site:
        yield site


def exchange(site: WebServer, clock: Clock, ttl: float | None = 300.0) -> list[str]:
    """Let the server hand out access tokens; the list grows by each."""
    given: list[str] = []

    def refresh(asked: Asked) -> Answer:
        if json.loads(asked.body) != {"refresh": PERSONAL}:
            return Answer(401, b"{}")
        given.append(access_token(len(given), None if ttl is None else clock.now + ttl))
        return Answer(200, json.dumps({"access": given[-1]}).encode())

    site.routes["/api/token/refresh/"] = refresh
    return given


def sign(auth: TokenAuth, url: str) -> str | None:
    return requests.Request("GET", url, auth=auth).prepare().headers.get("Authorization")


@pytest.mark.parametrize(("token", "personal"), [(LEGACY, False), (PERSONAL, True), ("abc", False)])
def test_a_token_is_told_from_its_form(token, personal):
    assert is_personal_token(token) is personal


def test_legacy_token_is_sent_as_token(site):
    assert sign(TokenAuth(site.url, LEGACY), site.url + "/data/upload/1/a.mp4") == f"Token {LEGACY}"
    assert site.asked == []


@pytest.mark.parametrize(
    ("home", "address", "covered"),
    [
        ("http://studio:8080", "http://studio:8080/data/a", True),
        ("http://studio:8080", "http://STUDIO:8080/data/a", True),
        ("http://studio:8080", "http://studio:8081/data/a", False),
        ("http://studio:8080", "http://studio.evil:8080/data/a", False),
        ("http://studio:8080", "https://studio:8080/data/a", False),
        ("http://studio", "https://studio/data/a", True),
        ("https://studio", "http://studio/data/a", False),
        ("https://studio/ls", "https://studio:443/ls/data/a", True),
    ],
)
def test_only_its_own_site_sees_the_token(home, address, covered):
    auth = TokenAuth(home, LEGACY)
    assert auth.covers(address) is covered
    assert (sign(auth, address) is not None) is covered


def test_personal_token_is_exchanged_once_and_renewed_before_it_expires(site):
    clock = Clock()
    given = exchange(site, clock)
    auth = TokenAuth(site.url, PERSONAL, clock=clock)
    assert sign(auth, site.url + "/a") == sign(auth, site.url + "/b") == f"Bearer {given[0]}"
    assert len(given) == 1
    clock.now += 269
    sign(auth, site.url + "/a")
    assert len(given) == 1
    clock.now += 2
    assert sign(auth, site.url + "/a") == f"Bearer {given[1]}"


def test_without_an_expiry_claim_the_default_lifetime_holds(site):
    clock = Clock()
    given = exchange(site, clock, ttl=None)
    auth = TokenAuth(site.url, PERSONAL, clock=clock)
    sign(auth, site.url)
    clock.now += 271
    sign(auth, site.url)
    assert len(given) == 2


def test_the_personal_token_itself_goes_only_to_the_exchange(site):
    exchange(site, Clock())
    site.routes["/api/projects"] = Answer(200, b"[]")
    LabelStudioClient(site.url, PERSONAL).get("/api/projects")
    for asked in site.asked:
        carried = PERSONAL in str(asked.headers) or PERSONAL.encode() in asked.body
        assert carried == (asked.path == "/api/token/refresh/")


def test_a_401_renews_the_access_token_once(site):
    given = exchange(site, Clock())

    def projects(asked: Asked) -> Answer:
        return (
            Answer(401, b"{}") if asked.headers["Authorization"] == f"Bearer {given[0]}" else Answer(200, b'{"a": 1}')
        )

    site.routes["/api/projects"] = projects
    assert LabelStudioClient(site.url, PERSONAL).get("/api/projects") == {"a": 1}
    assert len(given) == 2


@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
def test_a_lasting_401_is_an_error_that_says_what_to_do(site, token):
    exchange(site, Clock())
    site.routes["/api/projects"] = Answer(401, b"{}")
    with pytest.raises(LabelStudioError, match="token is missing or refused"):
        LabelStudioClient(site.url, token).get("/api/projects")
    assert len(site.requests("/api/projects")) == (1 if token == LEGACY else 2)


def test_a_refused_personal_token_says_so(site):
    site.routes["/api/token/refresh/"] = Answer(401, b"{}")
    with pytest.raises(LabelStudioError, match="refused the personal access token"):
        LabelStudioClient(site.url, PERSONAL).get("/api/projects")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            Answer(400, b'{"detail": "Validation error", "validation_errors": {"url": ["bad"]}}'),
            '400: {"url": \\["bad"\\]}',
        ),
        (Answer(403, b'{"detail": "not yours"}'), "403: not yours"),
        (Answer(302, b"", {"Location": "https://elsewhere/x"}), "302: a redirect to https://elsewhere/x"),
        (Answer(200, b"<html>"), "not JSON"),
        (Answer(500, b"broken"), "500: broken"),
    ],
)
def test_what_label_studio_says_is_in_the_error(site, answer, message):
    site.routes["/api/ml"] = answer
    with pytest.raises(LabelStudioError, match=message):
        LabelStudioClient(site.url, LEGACY).post("/api/ml", {})


def test_verbs_send_json_and_give_json_back(site):
    site.routes["/api/x"] = lambda asked: Answer(200, json.dumps([asked.method, asked.body.decode()]).encode())
    client = LabelStudioClient(site.url + "/", LEGACY)
    assert client.post("/api/x", {"a": 1}) == ["POST", '{"a": 1}']
    assert client.patch("/api/x", {"b": 2}) == ["PATCH", '{"b": 2}']
    assert client.get("/api/x", q="1") == ["GET", ""]
    assert site.asked[-1].path == "/api/x?q=1"
    site.routes["/api/x"] = Answer(204)
    assert client.delete("/api/x") is None


def test_an_unreachable_label_studio_is_named():
    with web_server() as site:
        url = site.url
    with pytest.raises(LabelStudioUnreachable, match=f"{url} cannot be reached"):
        LabelStudioClient(url, LEGACY).get("/api/projects")


@pytest.mark.parametrize("url", ["ftp://studio", "studio:8080", "http://", "http://user:pw@studio"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(MediaError):
        TokenAuth(url, LEGACY)


@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
def test_no_token_in_representations_errors_or_logs(site, caplog, token):
    caplog.set_level(logging.DEBUG)
    given = exchange(site, Clock())
    client = LabelStudioClient(site.url, SecretStr(token))
    with pytest.raises(LabelStudioError) as caught:
        client.get("/api/none")
    seen = f"{client!r} {client.auth!r} {caught.value!r} {caplog.text}"
    for secret in (token, *given):
        assert secret not in seen


def test_credentials_from_netrc_are_not_sent(site, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    exchange(site, Clock())
    site.routes["/api/x"] = Answer(200, b"{}")
    LabelStudioClient(site.url, PERSONAL).get("/api/x")
    assert "Authorization" not in site.requests("/api/token/refresh/")[0].headers
    assert site.requests("/api/x")[0].headers["Authorization"].startswith("Bearer ")


def test_a_loopback_label_studio_is_not_asked_through_a_proxy(site, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    site.routes["/api/x"] = Answer(200, b"{}")
    assert LabelStudioClient(site.url, LEGACY).get("/api/x") == {}


def paged(pages: list[dict]):
    """A list in pages, whose next addresses are those by which Label Studio knows itself."""

    def serve(asked: Asked) -> Answer:
        query = dict(parse_qsl(urlsplit(asked.path).query))
        assert query["task"] == "7"
        return Answer(200, json.dumps(pages[int(query.get("page", 1)) - 1]).encode())

    return serve


def test_a_list_comes_whole_or_in_pages(site):
    client = LabelStudioClient(site.url, LEGACY)
    site.routes["/api/x"] = Answer(200, b"[1, 2]")
    assert list(client.items("/api/x", task=7)) == [1, 2]
    following = "http://inside:8080/api/x?task=7&page=%d"
    site.routes["/api/x"] = paged(
        [
            {"results": [1], "next": following % 2},
            {"results": [2], "next": following % 3},
            {"results": [], "next": None},
        ]
    )
    assert list(client.items("/api/x", task=7)) == [1, 2]
    assert len(site.requests("/api/x")) == 4


@pytest.mark.parametrize("answer", [{"detail": "no"}, 3, None, {"results": [], "next": 5}])
def test_what_is_no_list_is_refused(site, answer):
    site.routes["/api/x"] = Answer(200, json.dumps(answer).encode())
    with pytest.raises(LabelStudioError, match="the answer is no list"):
        list(LabelStudioClient(site.url, LEGACY).items("/api/x"))


def test_pages_that_lead_in_a_circle_end(site):
    site.routes["/api/x"] = paged(
        [{"results": [1], "next": "/api/x?task=7&page=2"}, {"results": [2], "next": "?task=7&page=2"}]
    )
    with pytest.raises(LabelStudioError, match="its pages never end"):
        list(LabelStudioClient(site.url, LEGACY).items("/api/x", task=7))


@pytest.mark.parametrize(("status", "passing"), [(502, True), (429, True), (403, False), (400, False)])
@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
def test_what_may_pass_is_told_from_what_stays(site, status, passing, token):
    site.routes["/api/token/refresh/"] = site.routes["/api/x"] = Answer(status, b"{}")
    with pytest.raises(LabelStudioError) as error:
        LabelStudioClient(site.url, token).get("/api/x")
    assert error.value.passing is passing
