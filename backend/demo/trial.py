"""One object to track through Label Studio, and what is known of where it is."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from backend.demo.clip import STREET
from backend.demo.project import Clip, Project, Region
from backend.errors import LabelStudioError
from backend.labelstudio.regions import NOTE
from backend.tracks import Box, Direction

Say = Callable[[str], None]
FAILED = ("not tracked: ", "stopped after frames ")  # how notes.problem begins
PRESS_SECONDS = 600.0  # a track that is not complete after this long is not going to be


@dataclass(frozen=True)
class Trial:
    """A box to draw on a clip, and the object's true boxes (pixels) by decode index, on some frames or on all.

    ``least_iou`` is what each of those frames must reach, ``mean_iou`` all together.
    """

    clip: str
    label: str
    frame: int
    truth: Mapping[int, Box]
    direction: Direction
    least_iou: float
    mean_iou: float

    @property
    def name(self) -> str:
        """What it is called in what is shown."""
        return f"{self.clip}: {self.label.lower()}"


def street_trial(actor: str, label: str, frame: int, direction: Direction = "both") -> Trial:
    """An actor of the street scene, from its true box on ``frame``, to be compared on every frame that is tracked."""
    truth = dict(enumerate(_street_boxes()[actor]))
    if direction == "forward":
        truth = {index: box for index, box in truth.items() if index >= frame}
    return Trial("street", label, frame, truth, direction, 0.7, 0.85)


@cache
def _street_boxes() -> dict[str, list[Box]]:
    return STREET.true_boxes()


def opossum_trial() -> Trial:
    """The opossum on its snowboard, in the clip's last shot; boxes drawn by hand, to about 5 pixels.

    It turns and sinks out of the frame and comes back: a box that stays where it was drawn misses the bound.
    """
    drawn = {
        1220: (671.0, 298.0, 1276.0, 720.0),
        1228: (722.0, 416.0, 1280.0, 720.0),
        1235: (772.0, 435.0, 1280.0, 720.0),
        1245: (667.0, 350.0, 1250.0, 720.0),
        1251: (706.0, 303.0, 1280.0, 720.0),
        1258: (723.0, 293.0, 1280.0, 720.0),
    }
    return Trial("opossum", "Animal", 1220, drawn, "forward", 0.65, 0.8)


@dataclass(frozen=True)
class Press:
    """What pressing Track until it was complete gave: what was sent, what came back last, and how long it took."""

    sent: Region
    replies: list[Region]
    presses: int
    seconds: float

    @property
    def region(self) -> Region:
        """The track that came back under the id that was sent."""
        for region in self.replies:
            if region.get("id") == self.sent["id"] and region.get("type") == "videorectangle":
                return region
        raise LabelStudioError(f"the press returned no track under the id of the box ({len(self.replies)} regions)")


def press_until_complete(project: Project, trial: Trial, clip: Clip, say: Say) -> Press:
    """Draw the trial's box, and press Track again and again until the track is complete.

    Raises:
        LabelStudioError: a press failed, or the track is not complete after ten minutes.
    """
    drawn = project.drawn_box(f"demo-{secrets.token_hex(4)}", trial.label, clip, trial.frame, trial.truth[trial.frame])
    choice = [project.direction(drawn, trial.direction)]
    started = time.monotonic()
    region, presses = drawn, 0
    while True:
        press = Press(drawn, project.press(trial.clip, [region, *choice]), presses := presses + 1, 0.0)
        region = press.region
        seconds = time.monotonic() - started
        state = "; ".join(backend_notes(region))
        say(f"  {trial.name}: press {presses}, {seconds:.0f} s: {state or 'no state told'}")
        if is_complete(region):
            return Press(drawn, press.replies, presses, seconds)
        if has_failed(region):
            raise LabelStudioError(f"{trial.name}: {state}")
        if seconds > PRESS_SECONDS:
            raise LabelStudioError(f"{trial.name}: not complete after {seconds:.0f} s and {presses} presses ({state})")


def backend_notes(region: Region) -> list[str]:
    """What the backend tells about a region's track, in the region's details."""
    lines = "\n".join(region.get("meta", {}).get("text", [])).splitlines()
    return [line.removeprefix(NOTE) for line in lines if line.startswith(NOTE)]


def is_complete(region: Region) -> bool:
    """Whether all of a region is tracked."""
    return any(note.startswith("tracked ") for note in backend_notes(region)) and not has_failed(region)


def has_failed(region: Region) -> bool:
    """Whether pressing again is not going to help."""
    return any(note.startswith(FAILED) for note in backend_notes(region))
