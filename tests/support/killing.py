"""``python -m support.killing [KILLS [SEED]]``: a service that is killed at random moments, again and again, while an
annotator presses and corrects; and what must hold whenever that happens."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import requests

from support.fake_studio import TOKEN, FakeStudio, fake_studio
from support.fake_tracker import PATIENCE
from support.service import WIDTH, Item, clip, keyframe, moved, notes_of, press, region, sequence_of

ROOT = Path(__file__).resolve().parents[2]
SHAPE = ("x", "y", "width", "height", "enabled")
CHECKPOINT_SECONDS = 1.0
LONGEST_LIFE = 5.0  # seconds; a track takes about 3


@dataclass
class Annotator:
    """What one annotator has on the page: ``held`` is the region, ``drawn`` what they drew, by frame, ``safe`` what of
    that was in a press that was answered."""

    chance: random.Random
    held: Item
    drawn: dict[int, Item] = field(default_factory=dict)
    safe: dict[int, Item] = field(default_factory=dict)
    answered: int = 0

    def draw(self) -> None:
        """Add or move a keyframe; no box is drawn twice."""
        frame = self.chance.randint(1, 30)
        self.held = moved(self.held, frame, x=self.chance.uniform(0, 70), y=self.chance.uniform(0, 70), enabled=True)
        self.drawn[frame] = {one["frame"]: one for one in sequence_of(self.held)}[frame]

    def press(self, session: requests.Session, url: str) -> None:
        """Press; a service that dies meanwhile leaves the page as it is."""
        sent = dict(self.drawn)
        try:
            body = session.post(url + "/predict", json=press(self.held), timeout=PATIENCE).json()
        except requests.RequestException:
            return
        (self.held,) = body["results"][0]["result"]
        self.safe = sent
        self.answered += 1
        check_drawn(self.held, sent)


def check_drawn(item: Item, drawn: dict[int, Item]) -> None:
    """All that was drawn is in a region, to the last decimal."""
    found = {one["frame"]: one for one in sequence_of(item)}
    for frame, one in drawn.items():
        assert [found[frame][key] for key in SHAPE] == [one[key] for key in SHAPE], f"the keyframe of frame {frame}"


class Mortal:
    """One life of the service; ``url`` is its address."""

    def __init__(self, directory: Path, studio: FakeStudio) -> None:
        self._log = directory / "serve.log"
        frames = directory / "frames.log"
        frames.write_bytes(b"")  # what an earlier life lost is made again, or not yet
        settings = {
            "data-dir": directory / "data",
            "media-root": directory / "media",
            "port": 0,
            "budget-seconds": 0.3,
            "label-studio-url": studio.url,
        }
        command = [sys.executable, "-m", "support.mortal_service", str(frames), "serve"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYTRACK_")} | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "KEYTRACK_LABEL_STUDIO_TOKEN": TOKEN,
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *(f"--{name}={value}" for name, value in settings.items())],
                stdout=log,
                stderr=log,
                env=environment,
            )
        self.url = self._address()

    def _address(self) -> str:
        deadline = time.monotonic() + 2 * PATIENCE
        while (found := re.search(r"at (http://\S+),", self._log.read_text("utf-8"))) is None:
            assert self._process.poll() is None and time.monotonic() < deadline, self._log.read_text("utf-8")
            time.sleep(0.02)
        return found[1]

    def kill(self) -> None:
        """SIGKILL, and its end."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def check_store(directory: Path, annotator: Annotator) -> int:
    """What a dead service has left: the human's keyframes of every press that was answered, and all frames but those of
    the last second. Returns how many frames were lost."""
    database = sqlite3.connect(directory / "data" / "keytrack.db")
    row = database.execute("SELECT id, revision, human, answer FROM tracks").fetchone()
    if row is None:
        assert not annotator.safe
        return 0
    track, revision, human, answer = row
    stored = {item["frame"]: item for item in json.loads(human)}
    for frame, one in annotator.safe.items():
        # A press that was on its way may have moved one.
        wanted = [[item[key] for key in SHAPE] for item in (one, annotator.drawn[frame])]
        assert [stored[frame][key] for key in SHAPE] in wanted, f"the keyframe of frame {frame} is lost"
    observed = {
        frame
        for (frame,) in database.execute(
            "SELECT frame FROM observations WHERE track = ? AND revision = ?", (track, revision)
        )
    }
    database.close()
    lines = [json.loads(line) for line in _whole_lines(directory / "frames.log")]
    boxes = lines[-1][2] if lines else []
    of_human = [(frame - 1, item["x"] * WIDTH / 100) for frame, item in sorted(stored.items())]
    if answer is not None or [(frame, round(box[0], 6)) for frame, box in boxes] != [
        (frame, round(x, 6)) for frame, x in of_human
    ]:
        return 0  # complete, or of a revision that was not begun
    if len(lines) < 2:
        return 0
    last = lines[-2][0]  # when the last frame came, or before: its own line may be late
    taken = [(moment, frame) for moment, frame, made_by in lines if made_by == boxes]
    late = {frame for moment, frame in taken if moment <= last - CHECKPOINT_SECONDS}
    assert late <= observed, f"frames {sorted(late - observed)} were stored no later than a second before the end"
    return len({frame for _, frame in taken} - observed)


def _whole_lines(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]


def check_posted(studio: FakeStudio) -> None:
    """One prediction at most, and no state of the tracks posted twice."""
    assert len(studio.predictions) <= 1
    bodies = [request.body for request in studio.site.asked if request.method in ("POST", "PATCH")]
    assert len(set(bodies)) == len(bodies), "the same was posted twice"


@dataclass
class Tally:
    """What happened: services that were killed, presses that were answered, frames that were lost, and how often a
    prediction was posted or replaced."""

    kills: int = 0
    answered: int = 0
    lost_frames: int = 0
    posted: int = 0


def play(directory: Path, *, kills: int, seed: int) -> Tally:
    """Kill so often, checking after each; then let it come to its end, and compare what everybody has."""
    chance = random.Random(seed)
    clip(directory / "media")
    annotator = Annotator(chance, region("car", keyframe(10, 40, 30, 32, 24)))
    annotator.drawn = {10: sequence_of(annotator.held)[0]}
    tally = Tally()
    with fake_studio() as studio, requests.Session() as session:
        session.trust_env = False
        for _ in range(kills):
            service = Mortal(directory, studio)
            fate = threading.Timer(chance.uniform(0.1, LONGEST_LIFE), service.kill)
            fate.start()
            while fate.is_alive():
                if chance.random() < 0.4:
                    annotator.draw()
                annotator.press(session, service.url)
                time.sleep(chance.choice((0.1, 0.5, 3.0)))
            fate.join()
            tally.kills += 1
            tally.lost_frames += check_store(directory, annotator)
            check_posted(studio)
        service = Mortal(directory, studio)
        try:
            annotator.draw()
            annotator.press(session, service.url)  # it is answered before the track is complete
            _settle(session, service.url)
            annotator.press(session, service.url)
            assert notes_of(annotator.held)[0].startswith("tracked ")
            check_posted(studio)
            (posted,) = studio.predictions.values()
            assert posted["result"] == [annotator.held]
        finally:
            service.kill()
        tally.answered, tally.posted = annotator.answered, len(studio.writes())
    return tally


def _settle(session: requests.Session, url: str) -> None:
    """Wait until nothing is at work."""
    deadline = time.monotonic() + 4 * PATIENCE
    while session.get(url + "/health", timeout=PATIENCE).json()["jobs"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(play(Path(place), kills=int((sys.argv[1:] or ["25"])[0]), seed=int((sys.argv[2:] or ["1"])[0])))
