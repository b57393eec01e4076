from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.errors import LabelConfigError, PayloadError, SettingsError, UnavailableError
from backend.model import Keytrack
from backend.settings import load_settings
from support.choices import FULL
from support.fake_tracker import FakeTracker
from support.service import CONFIG, clip, keyframe, notes_of, region, task

DRAWN = keyframe(10, 40, 30, 32, 24)


@pytest.fixture
def keytrack(tmp_path: Path) -> Iterator[Keytrack]:
    clip(tmp_path / "media")
    settings = load_settings(data_dir=tmp_path / "data", media_root=tmp_path / "media", budget_seconds=30)
    model = Keytrack(settings, FakeTracker, FULL)
    yield model
    model.close()


def pressed(keytrack: Keytrack, *regions: Any, **kwargs: Any) -> Any:
    (entry,) = keytrack.predict([task()], {"result": list(regions)}, label_config=CONFIG, **kwargs)
    return entry


def test_it_has_the_signature_of_label_studio_ml(keytrack: Keytrack) -> None:
    entry = pressed(keytrack, region("a", DRAWN), project="1.17", login=None, password=None, something="else")
    assert notes_of(entry["result"][0]) == ["tracked 1-30"]
    assert keytrack.predict(tasks=[task()], label_config=CONFIG) == [entry]
    assert keytrack.fit("START_TRAINING", {"project": {}}, job_id="1") == {}


def test_the_models_are_told(keytrack: Keytrack) -> None:
    assert keytrack.model_version.endswith("-full")
    health = keytrack.health()
    told = [health[name] for name in ("profile", "segmenter", "propagator", "device")]
    assert told == ["full", "sam_vit_h", "xmem_s012", "cuda"]


def test_what_other_models_tracked_is_not_passed_off_as_theirs(keytrack: Keytrack, tmp_path: Path) -> None:
    entry = pressed(keytrack, region("a", DRAWN))
    assert keytrack.predict([task()], label_config=CONFIG) == [entry]
    keytrack.close()
    settings = load_settings(data_dir=tmp_path / "data", media_root=tmp_path / "media", budget_seconds=30)
    other = Keytrack(settings, FakeTracker, replace(FULL, propagator="xmem"))
    assert other.model_version.endswith("-sam_vit_h-xmem")
    assert other.predict([task()], label_config=CONFIG) == [[]]
    other.close()


@pytest.mark.parametrize("project", ["1", "1.1795213732", None])
def test_a_project_goes_by_one_name(keytrack: Keytrack, project: str | None) -> None:
    entry = pressed(keytrack, region("a", DRAWN), project="1.17")
    assert keytrack.predict([task()], None, label_config=CONFIG, project=project) == [entry]


def test_a_context_without_a_result_is_an_empty_press(keytrack: Keytrack) -> None:
    (entry,) = keytrack.predict([task()], {}, label_config=CONFIG)
    assert entry == {"result": [], "model_version": keytrack.model_version}


@pytest.mark.parametrize(
    ("tasks", "context", "kwargs", "error"),
    [
        ("tasks", None, {}, PayloadError),
        ([task()], "press", {}, PayloadError),
        ([task()], {"result": []}, {}, LabelConfigError),
        ([task()], {"result": []}, {"label_config": 7}, PayloadError),
        ([task()], {"result": []}, {"label_config": "<View/>"}, LabelConfigError),
        ([task()], None, {"project": 7}, PayloadError),
    ],
)
def test_bad_calls_are_refused(
    keytrack: Keytrack, tasks: object, context: object, kwargs: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        keytrack.predict(tasks, context, **kwargs)


def test_a_press_after_the_stop_is_refused(keytrack: Keytrack) -> None:
    keytrack.stop()
    with pytest.raises(UnavailableError):
        pressed(keytrack, region("a", DRAWN))


def test_a_data_directory_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "keytrack.db").mkdir()
    with pytest.raises(SettingsError, match="KEYTRACK_DATA_DIR"):
        Keytrack(load_settings(data_dir=tmp_path / "data"), FakeTracker, FULL)
