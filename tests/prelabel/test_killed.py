"""A run that is killed at any moment, and started again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.config import parse_config
from backend.prelabel import passing
from backend.prelabel.doing import Doer
from backend.prelabel.jobs import Manner, Tracked
from backend.prelabel.plan import Left
from backend.prelabel.project import ProjectTasks, Wish
from backend.prelabel.run import describe
from backend.service.store import Store
from support.fake_studio import TOKEN, FakeStudio
from support.fake_tracker import FakeTracker
from support.http import Answer, Asked
from support.service import CONFIG, Item, keyframe, region, task

VERSION = "keytrack-1-lite"
CAR = region("car", keyframe(3, 40, 30, 32, 24), keyframe(5, 42, 30, 32, 24))
MAN = region("man", keyframe(3, 100, 60, 20, 40), label="Person")


class Killed(BaseException):
    """What kill -9 is to a process: nothing catches it."""


class Fate:
    """Kills at the n-th thing that reaches the outside, before it or after it; ``happened`` is what did."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.at: int | None = None
        self.before = True

    def meet(self, name: str, action: Callable[[], Any]) -> Any:
        self.happened.append(name)
        mine = len(self.happened) == self.at
        if mine and self.before:
            raise Killed
        result = action()
        if mine:
            raise Killed
        return result


class MortalClient(LabelStudioClient):
    fate: Fate

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        return self.fate.meet(
            f"{method} {path.rstrip('0123456789')}", lambda: super(MortalClient, self).call(method, path, **arguments)
        )


class MortalStore(Store):
    fate: Fate

    def keep_all(self, *args: Any, **kwargs: Any) -> bool:
        return bool(self.fate.meet("keep", lambda: super(MortalStore, self).keep_all(*args, **kwargs)))

    def forget(self, *args: Any, **kwargs: Any) -> None:
        self.fate.meet("forget", lambda: super(MortalStore, self).forget(*args, **kwargs))


class Run:
    """Runs of the command on task 1 of one project, each a process of its own."""

    def __init__(self, fake: FakeStudio, media: Path, database: Path) -> None:
        self.fake = fake
        self.media = media
        self.database = database
        self.fate = Fate()

    def __call__(self, *, again: bool = False, kill_at: int | None = None, before: bool = True) -> str:
        self.fate = Fate()
        self.fate.at, self.fate.before = kill_at, before
        client, store = MortalClient(self.fake.url, TOKEN), MortalStore(self.database)
        client.fate = store.fate = self.fate
        tasks = ProjectTasks(
            client,
            1,
            parse_config(CONFIG),
            store=store,
            manner=Manner(VERSION, 0.95),
            wish=Wish(again=again, annotated=True),
        )
        try:
            job = tasks.read(1)
            if isinstance(job, Left):
                return job.reason
            found = Doer(FakeTracker, lambda name: self.media / name).do(job)
            assert isinstance(found, Tracked)
            left = tasks.settle(job, found)
            return describe(found) if left is None else left.reason
        except Killed:
            return "killed"
        finally:
            store.close()
            client.close()

    def stored(self) -> set[str]:
        store = Store(self.database)
        tracks = store.tracks("1", "1")
        assert all(track.complete and store.frames(track) for track in tracks)
        store.close()
        return {track.key.region for track in tracks}

    def shown(self) -> list[set[str]]:
        """The regions of each of our predictions."""
        return [{item["id"] for item in one["result"]} for one in self.fake.of(1) if one["model_version"] == VERSION]


def detected(*regions: Item) -> Item:
    return task(1, predictions=[{"id": 1, "model_version": "yolo-8", "result": list(regions)}])


@pytest.fixture
def run(fake: FakeStudio, media: Path, tmp_path: Path) -> Iterator[Run]:
    fake.tasks = [detected(CAR, MAN)]
    return Run(fake, media, tmp_path / "keytrack.db")


def moments(run: Run, *, again: bool) -> int:
    """At how many moments the run can be killed."""
    run(again=again)
    return len(run.fate.happened)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_first_run(run: Run, fake: FakeStudio, before: bool) -> None:
    count = moments(run, again=False)
    assert [name for name in run.fate.happened if not name.startswith("GET")] == ["keep", "POST /api/predictions"]
    for moment in range(1, count + 1):
        fake.predictions.clear()
        assert run(kill_at=moment, before=before) == "killed"
        run()
        (shown,) = run.shown()
        assert len(shown) == 2 and run.stored() == shown, run.fate.happened
        run()
        assert run.shown() == [shown]


@pytest.mark.parametrize("rerun", [True, False], ids=["again by force", "again without"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_run_that_replaces(run: Run, fake: FakeStudio, before: bool, rerun: bool) -> None:
    run()
    count = moments(run, again=True)
    writes = [name for name in run.fate.happened if not name.startswith("GET")]
    assert writes == ["keep", "PATCH /api/predictions/", "forget"]
    for moment in range(1, count + 1):
        fake.tasks = [detected(CAR, MAN)]
        run(again=True)
        fake.tasks = [detected(CAR)]  # a label less: nothing of it may stay
        assert run(again=True, kill_at=moment, before=before) == "killed"
        # At no moment does Label Studio show what the store does not have.
        assert set().union(*run.shown()) <= run.stored()
        run(again=rerun)
        (shown,) = run.shown()
        assert run.stored() == shown, (moment, run.fate.happened)


@pytest.mark.parametrize("again", [True, False])
def test_an_answer_that_gets_lost(run: Run, fake: FakeStudio, monkeypatch, again: bool) -> None:
    """Label Studio has the prediction, and a proxy before it says that it took too long."""
    monkeypatch.setattr(passing, "FIRST_WAIT", 0)
    if again:
        run()
    address = f"/api/predictions/{fake.made}" if again else "/api/predictions"
    whole = fake.site.routes[address]
    assert callable(whole)
    lost: list[int] = []

    def serve(asked: Asked) -> Answer:
        answer = whole(asked)
        if asked.method in ("POST", "PATCH") and not lost:
            lost.append(fake.made)
            return Answer(504)
        return answer

    fake.site.routes[address] = serve
    assert run(again=again).startswith("2 tracks in 30 frames")
    (shown,) = run.shown()
    assert run.stored() == shown and list(fake.predictions) == lost


def test_somebody_else_posts_at_the_last_moment(run: Run, fake: FakeStudio) -> None:
    whole = fake.site.routes["/api/predictions"]
    assert callable(whole)
    asked_before: list[Asked] = []

    def serve(asked: Asked) -> Answer:
        asked_before.append(asked)
        if len(asked_before) == 2:  # after it was stored
            fake.add(1, model_version=VERSION, result=[CAR])
        return whole(asked)

    fake.site.routes["/api/predictions"] = serve
    assert run() == "it has a prediction meanwhile"
    assert "keep" in run.fate.happened
    assert run.shown() == [{"car"}] and run.stored() == set()


def test_predictions_of_others_stay(run: Run, fake: FakeStudio) -> None:
    other = fake.add(1, model_version="yolo-8", result=[CAR])
    older, newer = fake.add(1, model_version=VERSION), fake.add(1, model_version=VERSION)
    assert run() == f"it has a prediction of {VERSION}; 1 older one deleted"
    assert set(fake.predictions) == {other, newer} and older not in fake.predictions
