"""One annotator of a load test: presses until tracked, corrects, hides, deletes, and has second thoughts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from backend.evaluation.load_checks import check_answer, check_opened
from backend.evaluation.load_client import LoadClient
from backend.evaluation.load_regions import Held, new_region, problem_of
from backend.evaluation.load_tally import Tally
from backend.evaluation.load_videos import LoadVideo, Target, targets
from backend.evaluation.moving_scene import FPS
from backend.labelstudio.edits import Item
from backend.tracks import Box

PROJECT = 1
LABELS = ("Car", "Person", "Animal")
PRESSES = 20
"""After so many on one change the annotator goes on with something else."""
SECOND_THOUGHTS = 0.25
"""The part of the changes that are changed again while they are tracked."""
# How exactly a hand draws, in parts of the box's sides.
_SHAKE = 0.03
_SHARED_EVERY = 3


@dataclass(frozen=True)
class Job:
    """A task, and what somebody is to do in it: the same for each who works on the same task."""

    number: int
    video: LoadVideo
    held: tuple[Held, ...]

    @property
    def task(self) -> Item:
        """As Label Studio sends it."""
        return {
            "id": self.number,
            "data": {"video": self.video.name, "fps": FPS},
            "meta": {},
            "project": PROJECT,
            "annotations": [],
            "predictions": [],
            "drafts": [],
        }


def make_job(seed: int, annotator: int, turn: int, videos: Sequence[LoadVideo]) -> Job:
    """What an annotator works on in turn: every third task together with a colleague, every other of those on copies
    of the same regions.

    Regions of different tasks have the same ids, which nobody may mistake for one another.
    """
    shared = turn % _SHARED_EVERY == _SHARED_EVERY - 1
    worker = annotator // 2 if shared else annotator
    number = (2 * worker + shared) * 100_000 + turn + 1
    random = Random(f"{seed}/{number}")
    video = videos[(worker + turn) % len(videos)]
    label = random.choice(LABELS)
    copies = shared and turn // _SHARED_EVERY % 2 == 0
    suffix = f"-{annotator % 2}" if shared and not copies else ""
    held = []
    for place, thing in enumerate(random.sample(range(video.scene.objects), random.randint(1, 2))):
        target = Target(video, thing)
        frame = random.randint(1, max(1, video.frames // 2))
        held.append(new_region(f"region{place}{suffix}", label, target, frame, shaken(random, target, frame)))
    return Job(number, video, tuple(held))


def shaken(random: Random, target: Target, frame: int) -> Box:
    """A box as a hand draws it around the target on a frame (Label Studio's)."""
    x0, y0, x1, y1 = target.box(target.video.clock.index(frame))
    across, down = _SHAKE * (x1 - x0), _SHAKE * (y1 - y0)
    return (
        x0 + random.uniform(-across, across),
        y0 + random.uniform(-down, down),
        x1 + random.uniform(-across, across),
        y1 + random.uniform(-down, down),
    )


class Annotator:
    """Works through tasks until it is told to stop.

    Args:
        number: of the annotator, from 0.
        clients: two, the second for presses that a newer one replaces.
        videos: all there are.
        tally: where it counts.
        seed: of all that is left to chance.
        pause: seconds that a thought takes, at most.
        stopping: tells when to stop.
    """

    def __init__(
        self,
        number: int,
        clients: tuple[LoadClient, LoadClient],
        videos: Sequence[LoadVideo],
        tally: Tally,
        *,
        seed: int,
        pause: float,
        stopping: threading.Event,
    ) -> None:
        self._number = number
        self._client, self._earlier = clients
        self._videos = videos
        self._targets = targets(videos)
        self._tally = tally
        self._seed = seed
        self._random = Random(f"{seed}/annotator {number}")
        self._pause = pause
        self._stopping = stopping

    def run(self) -> None:
        """Do one task after the other."""
        turn = 0
        while not self._stopping.is_set():
            self._work(make_job(self._seed, self._number, turn, self._videos))
            turn += 1

    def _work(self, job: Job) -> None:
        self._open(job)
        regions = list(job.held)
        place = self._random.randrange(len(regions))
        frame = next(iter(regions[place].drawn))
        regions = self._pursue(job, regions, place, lambda held: held.with_box(frame, self._drawn(held, frame)))
        for _ in range(self._random.randint(1, 2)):
            regions = self._correct(job, regions)
        if len(regions) > 1 and self._random.random() < 0.5:
            del regions[self._random.randrange(len(regions))]
            regions = self._correct(job, regions)
        if self._random.random() < 0.5:
            self._hide(job, regions)

    def _open(self, job: Job) -> None:
        names = [f"{held.id.partition('-')[0]}{suffix}" for held in job.held for suffix in ("", "-0", "-1")]
        self._tally.open()
        entry = self._client.open(job.task)
        if entry is not None:
            self._tally.mistake(f"task {job.number}", check_opened(names, entry))

    def _correct(self, job: Job, regions: list[Held]) -> list[Held]:
        """Draw one of the regions anew where it is shown, and press until it is tracked."""
        place = self._random.randrange(len(regions))
        frame = self._random.randint(1, regions[place].last or job.video.frames)
        if frame == regions[place].last:
            return regions

        def draw(held: Held) -> Held:
            return held.with_box(frame, self._drawn(held, frame))

        return self._pursue(job, _changed(regions, place, draw), place, draw)

    def _hide(self, job: Job, regions: list[Held]) -> list[Held]:
        """Switch one of the regions off near its end, and press until it is tracked."""
        place = self._random.randrange(len(regions))
        frame = max(regions[place].drawn) + self._random.randint(1, 3)
        if frame > job.video.frames:
            return regions

        def end(held: Held) -> Held:
            return held.ended(frame, self._drawn(held, frame))

        return self._pursue(job, _changed(regions, place, end), place, end)

    def _pursue(self, job: Job, regions: list[Held], place: int, again: Callable[[Held], Held]) -> list[Held]:
        """Press until all regions are tracked; at times the change at ``place`` is made ``again`` while the first press
        waits, and a newer one replaces it. Nothing where it is time to stop."""
        if self._stopping.is_set():
            return regions
        if self._random.random() < SECOND_THOUGHTS:
            first = threading.Thread(target=self._press, args=(self._earlier, job, regions), daemon=True)
            first.start()
            self._think()
            regions = self._until_tracked(job, _changed(regions, place, again))
            first.join()
            return regions
        return self._until_tracked(job, regions)

    def _until_tracked(self, job: Job, regions: list[Held]) -> list[Held]:
        for _ in range(PRESSES):
            answered = self._press(self._client, job, regions)
            if answered is not None:
                for before, after in zip(regions, answered, strict=True):
                    if after.tracked and not before.tracked:
                        self._tally.finish(job.video.frames)
                regions = answered
            if self._stopping.is_set() or (answered is not None and all(held.tracked for held in regions)):
                break
            self._think()
        return regions

    def _press(self, client: LoadClient, job: Job, regions: Sequence[Held]) -> list[Held] | None:
        """The regions as they came back; None where the answer cannot be used."""
        results = client.press(job.task, [held.item for held in regions])
        if results is None:
            return None
        wrong = check_answer(regions, results, self._targets)
        if wrong:
            self._tally.mistake(f"annotator {self._number}, task {job.number}", wrong)
        found = {str(item.get("id")): item for item in results}
        if not all(held.id in found for held in regions):
            return None
        for item in found.values():
            self._note(problem_of(item))
        return [held.answered(found[held.id]) for held in regions]

    def _note(self, problem: str | None) -> None:
        if problem is None:
            return
        if "is busy" in problem:
            self._tally.refuse()
        else:
            self._tally.fail(problem)

    def _drawn(self, held: Held, frame: int) -> Box:
        return shaken(self._random, held.target, frame)

    def _think(self) -> None:
        time.sleep(self._pause * self._random.uniform(0.2, 1))


def _changed(regions: Sequence[Held], place: int, change: Callable[[Held], Held]) -> list[Held]:
    return [change(held) if number == place else held for number, held in enumerate(regions)]
