"""Predictions of one task, as Label Studio's API has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backend.errors import PayloadError
from backend.labelstudio.client import LabelStudioClient
from backend.prelabel.prediction import Prediction
from backend.prelabel.studio import post, predictions_of, shown_regions
from backend.service.parcels import Parcel
from support.fake_studio import TOKEN, FakeStudio
from support.http import Answer, Asked

NOTHING = Prediction("v1", [])


@pytest.fixture
def client(fake: FakeStudio) -> Iterator[LabelStudioClient]:
    """Of a Label Studio that gives predictions one by one."""
    whole = fake.site.routes["/api/predictions"]
    assert callable(whole)

    def serve(asked: Asked) -> Answer:
        if asked.method != "GET":
            return whole(asked)
        page = int(parse_qs(urlsplit(asked.path).query).get("page", ["1"])[0])
        every = fake.of(7)
        following = f"http://elsewhere/api/predictions?task=7&page={page + 1}" if page < len(every) else None
        return Answer(200, json.dumps({"results": every[page - 1 : page], "next": following}).encode())

    fake.site.routes["/api/predictions"] = serve
    made = LabelStudioClient(fake.url, TOKEN)
    yield made
    made.close()


def test_one_on_the_last_page_counts(fake: FakeStudio, client: LabelStudioClient) -> None:
    others = [fake.add(7, model_version="yolo-8") for _ in range(3)]
    ours = fake.add(7, model_version="v1", result=[{"id": "a"}])
    assert [item.id for item in predictions_of(client, 7, "v1")] == [ours]
    assert not post(client, 7, NOTHING)
    assert list(fake.predictions) == [*others, ours]


def test_one_is_kept_of_all_that_are_replaced(fake: FakeStudio, client: LabelStudioClient) -> None:
    other = fake.add(7, model_version="yolo-8")
    _, newest = (fake.add(7, model_version="v1", result=[{"id": name}]) for name in ("a", "b"))
    for _ in range(2):  # the answer to the first may get lost
        assert post(client, 7, NOTHING, again=True)
        assert list(fake.predictions) == [other, newest]
        assert fake.of(7)[-1]["result"] == []


def test_what_a_task_shows() -> None:
    task: dict[str, Any] = {
        "predictions": [{"id": 1, "result": [{"id": "a"}, {"type": "relation"}]}, {"id": 2, "result": {}}],
        "annotations": [{"id": 3, "result": [{"id": "b"}]}, {"id": 4, "result": None}],
        "drafts": [{"id": 5, "result": [{"id": "c"}]}],
    }
    assert shown_regions(task) == {"a", "b", "c"}
    assert shown_regions({}) == set()


def test_predictions_that_are_mere_numbers_show_nothing_that_could_be_trusted() -> None:
    with pytest.raises(PayloadError, match=r"predictions\[0\]"):
        shown_regions({"predictions": [5]})


def test_what_has_changed_under_the_same_ids_comes_too(fake: FakeStudio, client: LabelStudioClient) -> None:
    older, newest = (fake.add(7, model_version="v1", score=0.5, result=[{"id": "a", "x": x}]) for x in (1, 2))
    for _ in range(2):
        assert post(client, 7, Parcel("1", "7", "v1", 0.5, [{"id": "a", "x": 3}]), again=True)
    (posted,) = fake.of(7)
    assert (posted["id"], posted["result"]) == (newest, [{"id": "a", "x": 3}])
    assert fake.writes() == ["PATCH", "DELETE"]
    assert older not in fake.predictions


def test_an_answer_that_got_lost_is_known_by_the_ids(fake: FakeStudio, client: LabelStudioClient) -> None:
    fake.add(7, model_version="v1", result=[{"id": "a", "rounded": True}])
    assert post(client, 7, Parcel("1", "7", "v1", 0.5, [{"id": "a"}]))
    assert not post(client, 7, Parcel("1", "7", "v1", 0.5, [{"id": "b"}]))
    assert fake.writes() == []
