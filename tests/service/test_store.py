from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.errors import SettingsError
from backend.service import schema
from backend.service.parcels import Parcel
from backend.service.presses import PressBody
from backend.service.records import Answer, Base, Demand, Emission, NewTrack, Project, StoredTrack, TrackKey
from backend.service.store import EMISSIONS_KEPT, Store
from backend.tracks import Mask, Observation

KEY = TrackKey("1", "7", "abc")
HUMAN: list[dict[str, object]] = [
    {"frame": 3, "x": 10.123456789012345, "y": 20, "width": 5.5, "height": 7.25, "rotation": 0, "enabled": True}
]
REACH = range(30)
DEMAND = Demand(label="Car", source="a.mp4", direction="both", human=HUMAN, closed=frozenset({3}))


def answer(sequence: list[dict[str, object]] = HUMAN, text: str = "tracked 1-30") -> Answer:
    return Answer([{"id": "abc", "value": {"sequence": sequence}}], 0.75, [text])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "data" / "keytrack.db")
    yield opened
    opened.close()


def observation(frame: int, score: float = 0.9, *, present: bool = True, region: str = "abc") -> Observation:
    mask = np.zeros((12, 16), bool)
    mask[2:8, frame % 8 : frame % 8 + 4] = True
    return Observation(region, frame, Mask.from_array(mask) if present else None, score)


def row(store: Store, key: TrackKey = KEY) -> StoredTrack:
    track = store.track(key)
    assert track is not None
    return track


def test_a_track_and_its_observations_come_back(store: Store) -> None:
    assert store.track(KEY) is None
    assert store.begin(KEY, 1, DEMAND, keep=False) == 1
    store.add(KEY, 1, [observation(2), observation(3, 0.25, present=False)])
    track = row(store)
    assert track.demand == DEMAND
    assert (track.revision, track.complete, track.problem, track.answer) == (1, False, None, None)
    frames = store.frames(track)
    assert sorted(frames) == [2, 3]
    assert frames[2].box == (2.0, 2.0, 6.0, 8.0)
    assert (frames[3].box, frames[3].score) == (None, 0.25)
    again = {item.frame: item for item in store.observations(track)}
    assert again[2].mask is not None and again[2].mask.area == 24
    assert again[3].mask is None
    assert again[2].object_id == "abc"


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "k.db")
    store.begin(KEY, 1, DEMAND, keep=False)
    store.add(KEY, 1, [observation(0)])
    store.finish(KEY, 1, answer(), [3], reach=REACH)
    store.remember_project("1", Project("http://ls:8080", "s3cret", {"a": [1]}))
    store.close()

    store = Store(tmp_path / "k.db")
    track = row(store)
    assert (track.complete, track.answer) == (True, answer())
    assert list(store.frames(track)) == [0]
    assert store.emitted(KEY) == [Emission(HUMAN, frozenset({3}), frozenset({3}))]
    assert store.project("1") == Project("http://ls:8080", "s3cret", {"a": [1]})
    assert store.project("2") is None
    store.close()


def test_a_killed_process_loses_no_committed_frame(tmp_path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        from backend.service.records import Demand, TrackKey
        from backend.service.store import Store
        from backend.tracks import Observation
        key = TrackKey("1", "7", "abc")
        store = Store(Path(sys.argv[1]))
        store.begin(key, 1, Demand("Car", "a.mp4", "both", []), keep=False)
        store.add(key, 1, [Observation("abc", frame, None, 0.5) for frame in range(40)])
        store.flush()
        store.add(key, 1, [Observation("abc", 40, None, 0.5)])
        print("ready", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "k.db")],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store = Store(tmp_path / "k.db")
    assert list(store.frames(row(store))) == list(range(40))
    store.close()


def revisions(store: Store) -> dict[int, int]:
    return {frame: found.revision for frame, found in store.frames(row(store)).items()}


def completed(store: Store, frames: int = 6) -> None:
    """Revision 1, complete."""
    store.begin(KEY, 1, DEMAND, keep=False)
    store.add(KEY, 1, [observation(frame) for frame in range(frames)])
    store.finish(KEY, 1, answer(), [3], reach=REACH)


def test_what_was_complete_is_what_a_new_revision_builds_on(store: Store) -> None:
    completed(store)
    assert row(store).base is None
    changed = replace(DEMAND, human=[*HUMAN, {"frame": 5}], closed=frozenset())
    assert store.begin(KEY, 2, changed, keep=True) == 2
    track = row(store)
    assert (track.complete, track.answer, track.pressed) == (False, None, 2)
    assert track.demand == changed
    assert track.base == Base(1, HUMAN, frozenset({3}), HUMAN)
    store.add(KEY, 2, [observation(1, 0.1)])
    assert revisions(store) == {0: 1, 1: 2, 2: 1, 3: 1, 4: 1, 5: 1}
    assert [one.frame for one in store.observations(row(store), 1)] == [0, 2, 3, 4, 5]


def test_frames_that_were_not_touched_become_the_new_revisions(store: Store) -> None:
    completed(store)
    store.begin(KEY, 2, DEMAND, keep=True)
    store.add(KEY, 2, [observation(1, 0.1)])
    store.finish(KEY, 2, answer(), [3], reach=range(1, 5))
    assert revisions(store) == {1: 2, 2: 2, 3: 2, 4: 2}
    assert store.frames(row(store))[1].score == 0.1
    assert row(store).base is None


def test_unfinished_work_is_nothing_to_build_on(store: Store) -> None:
    completed(store)
    store.begin(KEY, 2, DEMAND, keep=True)
    store.add(KEY, 2, [observation(1), observation(2)])
    store.begin(KEY, 3, replace(DEMAND, closed=frozenset()), keep=True)
    base = row(store).base
    assert base is not None and (base.revision, base.closed) == (1, frozenset({3}))
    store.add(KEY, 3, [observation(2)])
    assert revisions(store) == {0: 1, 1: 2, 2: 3, 3: 1, 4: 1, 5: 1}
    store.finish(KEY, 3, answer(), [3], reach=REACH)
    assert revisions(store) == {0: 3, 2: 3, 3: 3, 4: 3, 5: 3}


def test_a_new_revision_that_keeps_nothing_on_show_still_builds_on_the_base(store: Store) -> None:
    completed(store)
    store.begin(KEY, 2, DEMAND, keep=False)
    store.add(KEY, 2, [observation(1)])
    store.begin(KEY, 3, DEMAND, keep=False)
    assert revisions(store) == {0: 1, 2: 1, 3: 1, 4: 1, 5: 1}
    assert row(store).base is not None


@pytest.mark.parametrize("change", [{"direction": "forward"}, {"source": "b.mp4"}])
def test_of_another_video_or_direction_nothing_is_left(store: Store, change: dict[str, str]) -> None:
    completed(store)
    store.begin(KEY, 2, replace(DEMAND, **change), keep=False)
    assert (revisions(store), row(store).base) == ({}, None)


def test_a_database_of_the_first_layout_is_taken_over_whole(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "k.db")
    old.executescript(schema._STEPS[0])
    old.execute("PRAGMA user_version = 1")
    old.execute("INSERT INTO projects VALUES ('1', 'http://ls', 'token', 'null')")
    values = ["Car", "a.mp4", "both", json.dumps(HUMAN), "[3]", 4, 1, None, json.dumps(answer().results), 0.75, "[]"]
    marks = ", ".join("?" * 15)
    old.execute(f"INSERT INTO tracks VALUES ({marks})", [9, "1", "7", "abc", *values])
    old.execute("INSERT INTO observations VALUES (9, 2, 1, 0.5, 0, 1, 2, 3, 4, NULL, NULL, NULL)")
    old.execute("INSERT INTO emissions VALUES (1, 9, ?, '[3]')", [json.dumps(HUMAN)])
    old.commit()
    old.close()
    store = Store(tmp_path / "k.db")
    track = row(store)
    assert (track.demand, track.answer, track.remarks) == (DEMAND, replace(answer(), texts=[]), ())
    assert store.frames(track)[2].box == (1.0, 2.0, 3.0, 4.0)
    assert store.emitted(KEY) == [Emission(HUMAN, frozenset({3}))]
    assert store.project("1") == Project("http://ls", "token", None)
    store.begin(KEY, 5, DEMAND, keep=True)
    assert row(store).base == Base(1, HUMAN, frozenset({3}), HUMAN)
    store.close()
    again = Store(tmp_path / "k.db")
    assert row(again).base is not None
    again.close()


def test_a_press_of_an_older_layout_is_that_on_the_last_tracks_of_its_class(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "k.db")
    for version in range(5):
        old.executescript(schema._STEPS[version])
    old.execute("PRAGMA user_version = 5")
    for region, label, pressed in (("a", "Car", 4), ("b", "Car", 6), ("c", "Person", 5)):
        old.execute(
            "INSERT INTO tracks (project, task, region, label, source, direction, human, closed, pressed, revision) "
            "VALUES ('1', '7', ?, ?, 'a.mp4', 'both', '[]', '[]', ?, 1)",
            (region, label, pressed),
        )
    for label in ("Person", "Car", "Tree"):
        old.execute(
            "INSERT INTO presses VALUES ('1', '7', ?, ?)", (label, json.dumps([{"video": label}, [], "<View/>"]))
        )
    old.commit()
    old.close()
    store = Store(tmp_path / "k.db")
    assert [(one.number, one.body) for one in store.presses] == [
        (5, PressBody("Person", {"video": "Person"}, [], "<View/>")),
        (6, PressBody("Car", {"video": "Car"}, [], "<View/>")),
    ]
    store.close()


def test_a_revision_that_is_no_longer_current_changes_nothing(store: Store) -> None:
    store.begin(KEY, 1, DEMAND, keep=False)
    store.begin(KEY, 2, DEMAND, keep=False)
    store.add(KEY, 1, [observation(0)])
    store.finish(KEY, 1, answer(), [3], reach=REACH)
    store.fail(KEY, 1, "old")
    assert not store.emit(KEY, 1, answer().results, [3])
    track = row(store)
    assert (track.complete, track.problem, store.frames(track), store.emitted(KEY)) == (False, None, {}, [])


def test_frames_gathered_before_a_change_do_not_leak_into_the_new_revision(store: Store) -> None:
    store.begin(KEY, 1, DEMAND, keep=False)
    store.add(KEY, 1, [observation(0)])
    store.begin(KEY, 2, DEMAND, keep=False)
    assert store.frames(row(store)) == {}


def test_a_problem_is_remembered_until_the_track_is_made(store: Store) -> None:
    store.begin(KEY, 1, DEMAND, keep=False)
    store.fail(KEY, 1, "there is no such file")
    assert row(store).problem == "there is no such file"
    store.finish(KEY, 1, answer(), [3], reach=REACH)
    assert row(store).problem is None


def test_the_latest_emissions_are_kept_newest_first(store: Store) -> None:
    store.begin(KEY, 1, DEMAND, keep=False)
    for number in range(EMISSIONS_KEPT + 4):
        for _ in range(2):  # handing out the same again is one emission
            assert store.emit(KEY, 1, answer([{"frame": number}]).results, [number])
    emitted = store.emitted(KEY)
    assert [emission.sequence for emission in emitted] == [
        [{"frame": number}] for number in range(EMISSIONS_KEPT + 3, 3, -1)
    ]
    assert [set(emission.human) for emission in emitted] == [{number} for number in range(EMISSIONS_KEPT + 3, 3, -1)]


def test_what_is_handed_out_of_a_complete_track_becomes_its_answer(store: Store) -> None:
    store.begin(KEY, 1, DEMAND, keep=False)
    store.emit(KEY, 1, answer([{"frame": 1}]).results, [])
    assert row(store).answer is None
    store.finish(KEY, 1, answer([{"frame": 2}]), [], reach=REACH)
    store.emit(KEY, 1, answer([{"frame": 3}]).results, [])
    assert row(store).answer == answer([{"frame": 3}])
    assert [emission.sequence[0]["frame"] for emission in store.emitted(KEY)] == [3, 2, 1]


def test_what_is_done_of_a_track_does_not_replace_its_answer_that_came_meanwhile(store: Store) -> None:
    store.begin(KEY, 1, DEMAND, keep=False)
    store.finish(KEY, 1, answer(), [3], reach=REACH)
    assert store.emit(KEY, 1, answer([{"frame": 1}]).results, [], complete=False)
    assert row(store).answer == answer()
    assert store.emitted(KEY)[0].sequence == [{"frame": 1}]


def test_tracks_are_kept_apart_by_project_task_and_region(store: Store) -> None:
    keys = [KEY, replace(KEY, project="2"), replace(KEY, task="8"), replace(KEY, region="xyz")]
    for frame, key in enumerate(keys):
        store.begin(key, store.next_press(), DEMAND, keep=False)
        store.add(key, 1, [observation(frame)])
    assert [list(store.frames(row(store, key))) for key in keys] == [[0], [1], [2], [3]]
    assert [track.key for track in store.tracks("1", "7")] == [KEY, replace(KEY, region="xyz")]
    assert store.next_press() == 5


def new(name: str, *frames: int, label: str = "Car") -> NewTrack:
    """A track that nobody pressed for."""
    found = Answer([{"id": name, "value": {"sequence": HUMAN}}], 0.75, [])
    return NewTrack(name, label, found, [observation(frame, region=name) for frame in frames])


def regions(store: Store) -> list[str]:
    return [track.key.region for track in store.tracks("1", "7")]


def test_what_was_found_in_a_task_is_stored_as_if_somebody_had_pressed(store: Store) -> None:
    store.begin(replace(KEY, task="8"), 4, DEMAND, keep=False)
    assert store.keep_all("1", "7", "a.mp4", [new("a", 0, 1), new("b", 2, label="Person")], since=store.next_press())
    first, second = store.tracks("1", "7")
    assert first.demand == Demand("Car", "a.mp4", "both", [])
    assert (first.answer, first.revision, first.pressed, first.complete) == (new("a").answer, 1, 5, True)
    assert (second.demand.label, second.pressed) == ("Person", 5)
    assert [list(store.frames(track)) for track in (first, second)] == [[0, 1], [2]]
    (mask,) = [one.mask for one in store.observations(second)]
    assert mask is not None and mask.area == 24
    assert store.emitted(first.key) == [Emission(HUMAN, frozenset(), frozenset())]
    # A correction builds on it.
    store.begin(first.key, 6, replace(DEMAND, closed=frozenset()), keep=True)
    base = row(store, first.key).base
    assert base is not None and base.revision == 1


def test_all_of_a_task_or_nothing_of_it_is_stored(store: Store) -> None:
    store.keep_all("1", "7", "a.mp4", [new("old", 0)], since=store.next_press())
    with pytest.raises(sqlite3.IntegrityError):
        store.keep_all("1", "7", "a.mp4", [new("a", 0), new("b", 1, 1)], since=store.next_press(), instead_of=["old"])
    assert regions(store) == ["old"]
    assert list(store.frames(row(store, replace(KEY, region="old")))) == [0]


def test_what_came_meanwhile_goes_before_what_was_found(store: Store) -> None:
    since = store.next_press()
    store.begin(KEY, since, DEMAND, keep=False)
    assert not store.keep_all("1", "7", DEMAND.source, [new("a", 0)], since=since)
    assert regions(store) == ["abc"]
    assert store.keep_all("1", "7", "another source", [new("a", 0)], since=since)
    assert store.keep_all("1", "8", DEMAND.source, [new("a", 0)], since=since)


def test_older_tracks_go_unless_a_human_has_or_had_a_keyframe_in_them(store: Store) -> None:
    store.keep_all("1", "7", "a.mp4", [new(name, 0) for name in ("old", "drawn", "undone", "touched")], since=1)
    drawn, undone = (replace(KEY, region=name) for name in ("drawn", "undone"))
    store.begin(drawn, store.next_press(), DEMAND, keep=True)
    store.begin(undone, store.next_press(), DEMAND, keep=True)
    store.finish(undone, 2, answer(), [3], reach=REACH)
    store.begin(undone, store.next_press(), replace(DEMAND, human=[], closed=frozenset()), keep=True)
    since = store.next_press()
    store.touch(replace(KEY, region="touched"), since, "Car")
    every = regions(store)
    assert store.keep_all("1", "7", "b.mp4", [new("a", 0)], since=since, instead_of=every)
    assert regions(store) == ["drawn", "undone", "touched", "a"]
    store.forget("1", "7", regions(store), since=store.next_press())
    assert regions(store) == ["drawn", "undone"]
    assert store.emitted(replace(KEY, region="a")) == []


def test_a_score_that_cannot_be_kept_spoils_nothing_else(store: Store) -> None:
    other = replace(KEY, region="other")
    for key in (KEY, other):
        store.begin(key, 1, DEMAND, keep=False)
    with pytest.raises(ValueError, match="nan on frame 4"):
        store.add(KEY, 1, [observation(3), observation(4, float("nan"))])
    store.add(other, 1, [observation(5, region="other")])
    assert [sorted(store.frames(row(store, key))) for key in (KEY, other)] == [[3], [5]]


def test_a_press_that_changes_nothing_is_noted(store: Store) -> None:
    store.begin(KEY, 1, DEMAND, keep=False)
    store.touch(KEY, 2, "Person")
    track = row(store)
    assert (track.pressed, track.demand.label, track.revision) == (2, "Person", 1)


def test_the_token_is_no_ones_to_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "k.db")
    assert "s3cret" not in repr(Project("http://ls", "s3cret", None))
    assert stat.S_IMODE((tmp_path / "k.db").stat().st_mode) == 0o600
    store.close()


def test_a_file_that_is_no_database_is_refused_by_the_settings_name(tmp_path: Path) -> None:
    (tmp_path / "k.db").write_bytes(b"this is not a database, it is a text about one" * 40)
    with pytest.raises(SettingsError, match="KEYTRACK_DATA_DIR"):
        Store(tmp_path / "k.db")


def test_a_database_of_a_later_layout_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "k.db")
    store._database._connection.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(SettingsError, match="version 99"):
        Store(tmp_path / "k.db")


def test_a_parcel_on_other_terms_outlasts_the_one_that_was_posted_meanwhile(store: Store) -> None:
    update = Parcel("1", "7", "v", 0.5, [{"id": "abc"}], "update")
    store.parcels.put(update)
    assert store.parcels.put(replace(update, terms="latest")) == "latest"
    store.parcels.drop(update)
    assert store.parcels.get("1", "7") == replace(update, terms="latest")
    store.parcels.drop(replace(update, terms="latest"))
    assert store.parcels.get("1", "7") is None


def test_a_parcel_that_has_what_a_newer_one_is_missing_stays(store: Store) -> None:
    whole = Parcel("1", "7", "keytrack-1", 0.5, [{"id": "a"}, {"id": "b"}], "latest")
    partly = replace(whole, result=[{"id": "a", "newer": True}], missing=frozenset({"b"}))
    store.parcels.put(whole)
    store.parcels.put(partly)
    assert store.parcels.get("1", "7") == whole
    store.parcels.put(replace(partly, missing=frozenset({"c"})))
    assert store.parcels.get("1", "7") == replace(partly, missing=frozenset({"c"}))
