from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.errors import PayloadError
from backend.model import Keytrack
from backend.settings import load_settings
from support.choices import LITE
from support.fake_tracker import FakeTracker
from support.require import unavailable
from support.service import CONFIG, choice, clip, keyframe, press, region, task

ROOT = Path(__file__).parents[1]
PACKAGES = [
    "label-studio-ml==1.0.9",
    "redis",  # it imports these two without declaring them
    "rq",
    "numpy",
    "av>=18.1,<19",
    "pycocotools",
    "opencv-python-headless",
    "requests",
    "pydantic>=2.10,<3",
    "pydantic-settings",
    "filelock",
    "tqdm",
]
DRAWN = keyframe(10, 40, 30, 32, 24)
SETUP = {
    "project": "1.1795213732",
    "schema": CONFIG,
    "hostname": "http://ls:8080",
    "access_token": "s3cret",
    "extra_params": {},
}


# --- 1.0.9, its real server ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with label-studio-ml 1.0.9 and without torch; kept between runs."""
    cache = getattr(request.config, "cache", None)
    directory = cache.mkdir("label-studio-ml") if cache is not None else tmp_path_factory.mktemp("label-studio-ml")
    python, stamp = directory / "bin" / "python", directory / "installed.json"
    wanted = json.dumps([sys.version_info[:2], PACKAGES])
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(directory)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
    ]
    for command in commands:
        made = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if made.returncode:
            unavailable(f"an environment for label-studio-ml 1.0.9 cannot be made: {made.stderr[-800:]}")
    stamp.write_text(wanted)
    return python


@pytest.mark.adapter
@pytest.mark.slow
def test_label_studio_ml_1_serves_presses_and_batches(environment: Path, tmp_path: Path) -> None:
    clip(tmp_path / "media")
    drawn = region("a", DRAWN)
    batch = {**press(), "params": {"login": None, "password": None, "context": None}}
    requests: list[tuple[str, Any]] = [
        ("/health", None),
        ("/setup", SETUP),
        ("/predict", batch),
        ("/predict", press(drawn, choice(drawn, "forward"))),
        ("/predict", batch),
        ("/predict", press({**drawn, "id": 7})),
        (
            "/webhook",
            {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "project": {"id": 1}, "task": {"id": 1}},
        ),
    ]
    run = subprocess.run(
        [str(environment), "-m", "support.adapter_driver", str(tmp_path)],
        input=json.dumps(requests),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    outcome = json.loads(run.stdout.splitlines()[-1])
    health, setup, nothing, pressed, stored, refused, webhook = outcome["replies"]
    assert (health["status"], health["body"]["status"]) == (200, "UP")
    assert setup["status"] == 200
    assert nothing["body"]["results"] == [[]]
    (entry,) = pressed["body"]["results"]
    assert entry["model_version"].startswith("keytrack-")
    item, companion = entry["result"]
    assert DRAWN in item["value"]["sequence"]
    assert item["meta"]["text"] == ["Keytrack: tracked 10-30"]
    assert companion["value"]["choices"] == ["forward"]
    assert stored["body"]["results"] == [entry]
    assert refused["status"] == 500 and "context.result[0].id" in refused["body"]["detail"]
    assert webhook["status"] == 201
    assert outcome["project"] == ["http://ls:8080", "s3cret"]
    assert outcome["forbidden"] == []
    assert len(outcome["jobs"]) == 1


# --- 2.x, whose package is not on PyPI: its base class's signature ----------------------------------


class BaseOf2:
    """What label-studio-ml 2.x's base class offers to the adapter."""

    kept: dict[tuple[str, str], str]

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        self.setup()

    def set(self, key: str, value: str) -> None:
        self.kept[self.project_id, key] = value

    def get(self, key: str) -> str | None:
        return self.kept.get((self.project_id, key))

    @property
    def label_config(self) -> str | None:
        return self.get("label_config")


@pytest.fixture
def adapter_of_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The adapter on a base class of 2.x's shape."""
    package, model = types.ModuleType("label_studio_ml"), types.ModuleType("label_studio_ml.model")
    monkeypatch.setattr(BaseOf2, "kept", {}, raising=False)
    model.LabelStudioMLBase = BaseOf2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "label_studio_ml", package)
    monkeypatch.setitem(sys.modules, "label_studio_ml.model", model)
    monkeypatch.delitem(sys.modules, "backend.adapter", raising=False)
    import backend.adapter as adapter

    clip(tmp_path / "media")
    settings = load_settings(data_dir=tmp_path / "data", media_root=tmp_path / "media", budget_seconds=30)
    keytrack = Keytrack(settings, FakeTracker, LITE)
    adapter.use(keytrack)
    yield adapter
    keytrack.close()
    sys.modules.pop("backend.adapter", None)


def test_label_studio_ml_2_serves_presses_and_batches(adapter_of_2: Any) -> None:
    def predict(body: dict[str, Any]) -> Any:
        # As its server does: a new model for each request, the context taken out of the parameters.
        params = dict(body["params"])
        model = adapter_of_2.KeytrackAdapter(project_id="1", label_config=body["label_config"])
        return model.predict(body["tasks"], context=params.pop("context", {}), **params)

    model = adapter_of_2.KeytrackAdapter(project_id="1", label_config=CONFIG)
    assert model.get("model_version").startswith("keytrack-")
    batch = {**press(), "params": {"login": None, "password": None, "context": None}}
    assert predict(batch) == [[]]
    (entry,) = predict(press(region("a", DRAWN)))
    assert entry["result"][0]["meta"]["text"] == ["Keytrack: tracked 1-30"]
    assert predict(batch) == [entry]
    assert model.fit("ANNOTATION_CREATED", {"annotation": {}}) == {}
    with pytest.raises(PayloadError, match=r"context\.result"):
        predict(press({**region("a", DRAWN), "id": 7}))


def test_a_batch_keeps_projects_apart(adapter_of_2: Any) -> None:
    first = adapter_of_2.KeytrackAdapter(project_id="1", label_config=CONFIG)
    other = adapter_of_2.KeytrackAdapter(project_id="2", label_config=CONFIG)
    first.predict([task()], context={"result": [region("a", DRAWN)]})
    assert other.predict([task()]) == [[]]
    assert first.predict([task()]) != [[]]


def test_the_model_needs_neither_flask_nor_torch_to_be_imported() -> None:
    code = (
        "import sys, backend.model; print(sorted({'flask', 'torch', 'waitress', 'label_studio_ml'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"
