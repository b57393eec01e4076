"""Whether the main job works: each track that came back is compared with the pixels, as a browser would show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from backend.demo.project import Clip, Region
from backend.demo.trial import Press, Trial
from backend.errors import VideoError
from backend.tracks import Box, ImageArray, box_iou
from backend.video.reader import VideoReader

TILES = 6
TILE_WIDTH = 480
SHOWN, TRUE = (255, 60, 200), (255, 255, 255)  # RGB


@dataclass(frozen=True)
class Verdict:
    """What a trial came to. ``boxes`` is what Label Studio shows on each decoded frame, ``problems`` what is wrong."""

    trial: Trial
    press: Press
    boxes: dict[int, Box]
    ious: dict[int, float]
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def keyframes(self) -> int:
        """Keyframes of the track."""
        return len(self.press.region["value"]["sequence"])

    def line(self) -> str:
        """One row of the summary."""
        ious = list(self.ious.values())
        quality = f"IoU mean {np.mean(ious):.2f}, least {min(ious):.2f} on {len(ious)} frames" if ious else "no box"
        return (
            f"{self.trial.name:<16} {'ok  ' if self.passed else 'FAIL'} {self.press.presses} presses, "
            f"{self.press.seconds:.0f} s, {len(self.boxes)} frames by {self.keyframes} keyframes; {quality}"
        )


def judge(trial: Trial, clip: Clip, press: Press) -> Verdict:
    """Compare a track with what is known, and with what the contract promises."""
    boxes = {clip.clock.index(frame): box for frame, box in shown_boxes(press.region, clip).items()}
    ious = {frame: box_iou(boxes[frame], true) if frame in boxes else 0.0 for frame, true in trial.truth.items()}
    problems = _broken_promises(press)
    low = [frame for frame, iou in ious.items() if iou < trial.least_iou]
    if low:
        problems.append(f"IoU below {trial.least_iou} on frames {low[:8]}")
    if np.mean(list(ious.values())) < trial.mean_iou:
        problems.append(f"mean IoU below {trial.mean_iou}")
    return Verdict(trial, press, boxes, ious, tuple(problems))


def shown_boxes(region: Region, clip: Clip) -> dict[int, Box]:
    """The box (pixels) that Label Studio draws on each of its frames, from 1, on which it draws one.

    Written again here from Label Studio's rule, so that what the backend thinks of that rule is checked too: linear
    between keyframes, constant after the last, hidden after a keyframe that is not enabled until the next that is.
    """
    sequence = region["value"]["sequence"]
    frames = [item["frame"] for item in sequence]
    corners = np.array(
        [(item["x"], item["y"], item["x"] + item["width"], item["y"] + item["height"]) for item in sequence]
    )
    corners *= np.array((clip.width, clip.height, clip.width, clip.height)) / 100
    boxes: dict[int, Box] = {}
    for frame in range(frames[0], clip.clock.frame_count + 1):
        last = int(np.searchsorted(frames, frame, side="right")) - 1
        if sequence[last]["enabled"] or frame == frames[last]:
            x0, y0, x1, y1 = (float(np.interp(frame, frames, corners[:, side])) for side in range(4))
            boxes[frame] = (x0, y0, x1, y1)
    return boxes


def _broken_promises(press: Press) -> list[str]:
    """What of the reply is not as the contract has it."""
    sent, got = press.sent, press.region
    sequence = got["value"]["sequence"]
    frames = [item["frame"] for item in sequence]
    drawn = sent["value"]["sequence"][0]
    promises = {
        "regions that were not sent came back": all(region["id"] == sent["id"] for region in press.replies),
        "the class changed": got["value"]["labels"] == sent["value"]["labels"],
        "the keyframe that was drawn was changed or dropped": drawn in sequence,
        "keyframes are not in order, or twice on one frame": frames == sorted(set(frames)),
        "there is no score between 0 and 1": isinstance(got.get("score"), float | int) and 0 <= got["score"] <= 1,
    }
    return [broken for broken, kept in promises.items() if not kept]


def write_contact_sheet(path: Path, verdicts: Sequence[Verdict], clips: dict[str, Clip]) -> None:
    """A PNG with a row of frames for each track: what Label Studio shows, and in white what is true.

    Raises:
        VideoError: a clip cannot be read, or the picture not written.
    """
    rows = [_row(verdict, clips[verdict.trial.clip]) for verdict in verdicts]
    sheet = np.vstack(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), sheet[..., ::-1]):
        raise VideoError(f"cannot write {path}")


def _row(verdict: Verdict, clip: Clip) -> ImageArray:
    known = sorted(verdict.trial.truth)
    chosen = [known[round(place)] for place in np.linspace(0, len(known) - 1, TILES)]
    height = round(TILE_WIDTH * 9 / 16)
    tiles = []
    with VideoReader(clip.path) as video:
        for frame in chosen:
            image = video.frame(frame).copy()
            thickness = max(2, clip.width // 320)
            for box, colour, width in (
                (verdict.trial.truth[frame], TRUE, max(1, thickness // 2)),
                (verdict.boxes.get(frame), SHOWN, thickness),
            ):
                if box is not None:
                    x0, y0, x1, y1 = map(round, box)
                    cv2.rectangle(image, (x0, y0), (x1, y1), colour, width)
            tile = cv2.resize(image, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA)
            caption = f"{verdict.trial.name}  {clip.clock.label_studio_frame(frame)}  IoU {verdict.ious[frame]:.2f}"
            cv2.rectangle(tile, (0, 0), (TILE_WIDTH, 18), (0, 0, 0), -1)
            cv2.putText(tile, caption, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
            tiles.append(tile)
    half = len(tiles) // 2
    return np.vstack([np.hstack(tiles[:half]), np.hstack(tiles[half:])])
