from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from backend.__main__ import main
from backend.cli import serve
from support.choices import LITE
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import Background, clip, keyframe, notes_of, press, region


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTracker:
    """What ``serve`` runs instead of the models."""
    tracker = FakeTracker(paced=True)
    monkeypatch.setattr(serve, "choose", lambda settings: LITE)
    monkeypatch.setattr(serve, "tracker_factory", lambda settings, choice: lambda: tracker)
    clip(tmp_path / "media")
    return tracker


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Gives the signals back to pytest."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def serve_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, client: Callable[[str], Any], *further: str
) -> Any:
    """Run ``serve`` on the main thread, as signals need it, and ``client`` with its address beside it."""
    caplog.set_level("INFO")

    def act() -> Any:
        try:
            limit = time.monotonic() + PATIENCE
            while (found := re.search(r"at (http://127\.0\.0\.1:\d+)", caplog.text)) is None:
                assert time.monotonic() < limit, "serve does not tell its address"
                time.sleep(0.01)
            return client(found.group(1))
        finally:
            signal.raise_signal(signal.SIGTERM)

    acting = Background(act)
    options = ["--port", "0", "--data-dir", str(tmp_path / "data"), "--media-root", str(tmp_path / "media")]
    assert main(["serve", *options, *further]) == 0
    return acting.result()


def test_serve_answers_presses_and_stops_on_a_signal(
    tracker: FakeTracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())

    def client(url: str) -> Any:
        assert requests.get(url + "/health", timeout=PATIENCE).json()["status"] == "UP"
        tracker.release()
        return requests.post(url + "/predict", json=press(region("a", keyframe(10, 40, 30, 32, 24))), timeout=PATIENCE)

    reply = serve_meanwhile(tmp_path, caplog, client)
    assert reply.status_code == 200
    assert reply.json()["results"][0]["result"][0]["meta"]["text"] == ["Keytrack: tracked 1-30"]
    assert "profile lite on cpu" in caplog.text
    assert "SIGTERM: stopping" in caplog.text
    assert not [one for one in set(threading.enumerate()) - before if one.name == "keytrack-worker"]


def test_a_press_that_waits_when_the_service_stops_is_answered(
    tracker: FakeTracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting: list[Background] = []

    def client(url: str) -> None:
        body = press(region("a", keyframe(10, 40, 30, 32, 24)))
        waiting.append(Background(lambda: requests.post(url + "/predict", json=body, timeout=PATIENCE)))
        tracker.until(lambda: len(tracker.calls) == 1)

    serve_meanwhile(tmp_path, caplog, client)
    reply = waiting[0].result()
    assert reply.status_code == 200
    assert "press t again" in reply.json()["results"][0]["result"][0]["meta"]["text"][0]


@pytest.mark.slow
def test_a_press_is_tracked_by_the_chosen_models(
    untrained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """XMem's weights are synthetic here: the track means nothing, but it is one."""
    clip(tmp_path / "media", frames=4)

    def client(url: str) -> Any:
        health: dict[str, Any] = {}
        while not health.get("models_loaded"):
            health = requests.get(url + "/health", timeout=PATIENCE).json()
            time.sleep(0.1)
        assert (health["segmenter"], health["propagator"], health["device"]) == ("mobile_sam", "xmem", "cpu")
        assert health["model_version"].endswith("-mobile_sam-xmem")
        return requests.post(url + "/predict", json=press(region("a", keyframe(3, 40, 30, 32, 24))), timeout=100).json()

    options = ["--segmenter", "mobile_sam", "--propagator", "xmem", "--device", "cpu", "--budget-seconds", "90"]
    reply = serve_meanwhile(tmp_path, caplog, client, *options, "--weights-dir", str(untrained))
    assert "profile lite on cpu (mobile_sam + xmem)" in caplog.text
    (track,) = reply["results"][0]["result"]
    assert track["id"] == "a"
    assert notes_of(track)[0].startswith("tracked 1-4")
    assert reply["model_version"].endswith("-mobile_sam-xmem")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--port", "99999"], "KEYTRACK_PORT / --port"),
        (["--budget-seconds", "100"], "KEYTRACK_BUDGET_SECONDS / --budget-seconds"),
        (["--media-root", "/no/such/directory"], "KEYTRACK_MEDIA_ROOT / --media-root"),
        (["--profile", "huge"], "KEYTRACK_PROFILE / --profile"),
        (["--segmenter", "sam2"], "KEYTRACK_SEGMENTER / --segmenter"),
        (["--propagator", "cutie"], "KEYTRACK_PROPAGATOR / --propagator"),
        (["--host", "no.such.host.invalid"], "KEYTRACK_HOST / --host"),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    tracker: FakeTracker, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], named: str
) -> None:
    assert main(["serve", "--data-dir", str(tmp_path / "data"), *options]) == 2
    assert named in capsys.readouterr().err


HOLDER = """
import sys, time
from pathlib import Path
from backend.cli.serve import _alone
with _alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_service_on_one_data_directory_is_refused_until_the_first_is_gone(
    tracker: FakeTracker, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    first = subprocess.Popen([sys.executable, "-c", HOLDER, str(data)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert main(["serve", "--port", "0", "--data-dir", str(data)]) == 2
        assert "another service is at work" in capsys.readouterr().err
    finally:
        first.kill()  # it cannot tidy up
        first.communicate()
    serve_meanwhile(tmp_path, caplog, lambda url: requests.get(url + "/health", timeout=PATIENCE))


def test_a_service_asks_for_what_the_environment_says(
    tracker: FakeTracker, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYTRACK_USERNAME", "team")
    monkeypatch.setenv("KEYTRACK_PASSWORD", "password")
    statuses = serve_meanwhile(
        tmp_path,
        caplog,
        lambda url: [
            requests.get(url + "/health", auth=auth, timeout=PATIENCE).status_code
            for auth in (None, ("team", "password"))
        ],
    )
    assert statuses == [401, 200]
