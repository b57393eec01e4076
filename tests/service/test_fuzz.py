"""Every endpoint, with whatever somebody may send: an answer in JSON each time, and never an internal error."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.service import Item, Service, choice, clip, keyframe, press, region, task
from support.slides import Annotator, write_slides


def pictures() -> list[Item]:
    """Presses about pictures: clicks beside a painted mask, a box, and Track."""
    bodies: list[Item] = []
    annotator = Annotator(_Recorder(bodies))
    annotator.paint(1, (40, 30, 80, 60))
    annotator.click(0, 50, 40)
    annotator.click(0, 90, 40, positive=False)
    annotator.box(2, (40, 30, 80, 60))
    annotator.track(1)
    return bodies


class _Recorder:
    """In the place of a service: keeps what is sent."""

    def __init__(self, bodies: list[Item]) -> None:
        self._bodies = bodies

    def predict(self, body: Item) -> tuple[int, Item]:
        self._bodies.append(body)
        return 200, {"results": [{"result": []}]}


DRAWN = keyframe(10, 40, 30, 32, 24)
SETUP: Item = {
    "project": "1.1795213732",
    "schema": "<View/>",
    "hostname": "http://ls.example",
    "access_token": "token",
    "extra_params": None,
}
WEBHOOK: Item = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "project": {"id": 1}, "task": {"id": 1}}
VALID: dict[str, list[Item]] = {
    "/setup": [SETUP],
    "/webhook": [WEBHOOK],
    "/predict": [
        press(region("a", DRAWN, keyframe(20, 60, 30, 32, 24)), choice(region("a", DRAWN), "both")),
        {**press(), "tasks": [task(annotations=[{"id": 1, "result": [region("b", DRAWN)]}])], "params": {}},
        *(
            {**press(), "params": {"context": {"event": event, "frame": 3, "session_id": "none", "result": []}}}
            for event in ("capabilities", "prewarm", "predict", "track", "track_progress", "track_cancel", "release")
        ),
        *pictures(),
    ],
}
METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]

numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.integers(-2, 40))
texts = st.one_of(st.text(max_size=12), st.sampled_from(["both", "1", "clip.mp4", "../x", "\0", "\ud800", "{", "<"]))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
# Examples depend on nothing that is kept between runs, and none is too slow: a press is tracked by a fake.
thorough = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("fuzz")
    clip(root / "media")
    write_slides(root / "media")
    found = Service(root)
    yield found
    found.close()


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all that is inside a JSON value, and its own."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn, bodies: list[Item]) -> Any:
    """A valid body with one to three of its values replaced or taken away."""
    body: Any = copy.deepcopy(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(body))) or (None,)
        if last is None:
            return draw(anything)
        holder = body
        for step in way:
            holder = holder[step]
        if draw(st.booleans()):
            holder[last] = draw(anything)
        elif isinstance(holder, dict):
            del holder[last]
        else:
            holder.append(draw(anything))
    return body


def check(service: Service, path: str, **request: Any) -> None:
    reply = service.client.post(path, **request)
    assert reply.status_code in (200, 400, 413, 503), reply.get_data(as_text=True)
    assert reply.is_json
    assert service.client.get("/health").status_code == 200


@pytest.mark.parametrize("path", VALID)
@given(data=st.data())
@thorough
def test_damaged_bodies_are_answered(service: Service, path: str, data: st.DataObject) -> None:
    # As a client may send it: Python's own JSON has NaN and lone surrogates too.
    check(service, path, data=json.dumps(data.draw(damaged(VALID[path]))), content_type="application/json")


@pytest.mark.parametrize("path", VALID)
@given(body=st.one_of(st.binary(max_size=60), anything.map(lambda value: json.dumps(value).encode())))
@thorough
def test_bodies_of_any_bytes_are_answered(service: Service, path: str, body: bytes) -> None:
    check(service, path, data=body, content_type="application/json")


@given(method=st.sampled_from(METHODS), path=st.text(st.characters(max_codepoint=0x2FF), max_size=20))
@thorough
def test_paths_of_any_kind_are_answered(service: Service, method: str, path: str) -> None:
    reply = service.client.open("/" + path.lstrip("/"), method=method)
    assert reply.status_code < 500, path


def test_what_is_fuzzed_is_all_that_takes_a_body(service: Service) -> None:
    rules = service.client.application.url_map.iter_rules()
    assert {rule.rule for rule in rules if "POST" in (rule.methods or ())} == set(VALID)


def test_the_bodies_are_valid_before_they_are_damaged(service: Service, tmp_path: Path) -> None:
    for path, bodies in VALID.items():
        for body in bodies:
            assert service.client.post(path, json=body).status_code == 200
