"""``python -m backend evaluate compose``: both layouts, and that they tell the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.evaluation import davis, motchallenge
from backend.tracks import Mask, box_iou
from support import drawn

FRAMES = 16


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    for name in drawn.COLOURS:
        drawn.write_drawn(root, name)
    return root


def start(root: Path, out: Path, *options: str, frames: int = FRAMES) -> int:
    return main(["evaluate", "compose", "--root", str(root), "--out", str(out), "--frames", str(frames), *options])


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    assert start(root, out, "--crossing", "2", "--return", "2", "--twins", "1", "--every", "2", "--drop", "0.25") == 0
    return out


NAMES = ["crossing-1", "crossing-2", "return-1", "return-2", "twins-1"]


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_both_layouts_are_read(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == ["davis", "mot", "scenes.json"]
    scenes = json.loads((made / "scenes.json").read_text("utf-8"))
    settings = {"frames": FRAMES, "forth_and_back": False, "seed": 0, "every": 2, "drop": 0.25, "gap": 0}
    assert scenes["settings"] == settings
    assert list(scenes["scenes"]) == NAMES
    for masks, boxes in zip(
        davis.find_sequences(made / "davis"), motchallenge.find_sequences(made / "mot"), strict=True
    ):
        assert masks.name == boxes.name
        assert len(masks) == len(boxes) == boxes.length == FRAMES
        # Every object is there from the beginning, as the task of the first needs it.
        assert list(masks.objects) == list(scenes["scenes"][masks.name]["objects"])
        assert boxes.fps == 24
        for one, other in zip(masks.images, boxes.images, strict=True):
            assert one.read_bytes() == other.read_bytes()
        with Image.open(masks.annotations[0]) as annotation:
            assert annotation.mode == "P"


def test_boxes_are_those_of_the_masks(made: Path) -> None:
    for masks, boxes in zip(
        davis.find_sequences(made / "davis"), motchallenge.find_sequences(made / "mot"), strict=True
    ):
        rows = {(row.frame, str(row.id)): row for row in boxes.truth()}
        hidden = 0
        for frame in range(FRAMES):
            truth = masks.truth(frame)
            assert not sum(mask.astype(int) for mask in truth.values()).max() > 1
            for name, mask in truth.items():
                row = rows.pop((frame, name), None)
                if not mask.any():
                    assert row is None
                    hidden += 1
                    continue
                assert row is not None and row.counts and 0 < row.visibility <= 1
                assert row.box == pytest.approx(Mask.from_array(mask).solid_box, abs=0.01)
        assert not rows
        if masks.name.startswith("return"):
            assert hidden >= 4


def test_detections_are_a_little_off_and_some_are_missing(made: Path) -> None:
    given = possible = 0
    for sequence in motchallenge.find_sequences(made / "mot"):
        truth: dict[int, list[motchallenge.TruthBox]] = {}
        for row in sequence.truth():
            truth.setdefault(row.frame, []).append(row)
        found = sequence.detections()
        assert all(frame % 2 == 0 for frame in found)
        possible += sum(row.visibility >= 0.3 for frame in range(0, FRAMES, 2) for row in truth[frame])
        for frame, detections in found.items():
            for detection in detections:
                given += 1
                best = max(truth[frame], key=lambda row: box_iou(row.box, detection.box))
                assert box_iou(best.box, detection.box) > 0.7
                assert best.box != pytest.approx(detection.box, abs=0.01)
    assert 0.6 < given / possible < 0.9


def test_without_dropping_all_that_can_be_seen_is_detected(root: Path, tmp_path: Path) -> None:
    only = ("--crossing", "1", "--return", "0", "--twins", "0")
    assert start(root, tmp_path / "out", *only, "--drop", "0", "--every", "1") == 0
    (sequence,) = motchallenge.find_sequences(tmp_path / "out" / "mot")
    clear = [row for row in sequence.truth() if row.visibility >= 0.3]
    assert len(clear) == sum(len(found) for found in sequence.detections().values())


def test_each_object_is_missed_once_for_a_while(root: Path, tmp_path: Path) -> None:
    only = ("--crossing", "2", "--return", "0", "--twins", "0", "--drop", "0", "--every", "1")
    frames = 2 * drawn.FRAMES
    assert start(root, tmp_path / "out", *only, "--gap", "0.5", "--forth-and-back", frames=frames) == 0
    for sequence in motchallenge.find_sequences(tmp_path / "out" / "mot"):
        found = {frame: [one.box for one in some] for frame, some in sequence.detections().items()}
        clear: dict[int, list[motchallenge.TruthBox]] = {}
        for row in sequence.truth():
            if row.visibility >= 0.3:
                clear.setdefault(row.id, []).append(row)
        missed = 0
        for rows in clear.values():
            gone = {
                row.frame
                for row in rows
                if max((box_iou(row.box, box) for box in found.get(row.frame, [])), default=0) < 0.6
            }
            # Another one's box may lie where it is.
            assert gone == set() or max(gone) - min(gone) < 12
            assert gone.isdisjoint({0, 1, frames - 2, frames - 1})
            missed += len(gone)
        assert missed > 6 * len(clear)
        assert sum(map(len, clear.values())) - sum(map(len, found.values())) <= 12 * len(clear)


def test_the_same_seed_makes_the_same_files(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = ("--crossing", "1", "--return", "0", "--twins", "1")
    for out, seed in (("one", "5"), ("same", "5"), ("other", "6")):
        assert start(root, tmp_path / out, *only, "--seed", seed) == 0
    assert files(tmp_path / "one") == files(tmp_path / "same")
    assert files(tmp_path / "one").keys() == files(tmp_path / "other").keys()
    assert files(tmp_path / "one") != files(tmp_path / "other")
    assert "covers" in capsys.readouterr().out


def test_what_is_seen_is_in_the_picture(made: Path) -> None:
    scenes = json.loads((made / "scenes.json").read_text("utf-8"))["scenes"]
    for sequence in davis.find_sequences(made / "davis"):
        told = scenes[sequence.name]["objects"]
        for frame in (0, FRAMES // 2, FRAMES - 1):
            image = sequence.video().frame(frame)
            for name, mask in sequence.truth(frame).items():
                if mask.sum() > 150:
                    assert drawn.looks_like(told[name]["sequence"], image)[mask].mean() > 0.7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--crossing", "0", "--return", "0", "--twins", "0"), "ask for a scene at least"),
        (("--sequences", "red"), "crossing-1 could not be made"),
        (("--sequences", "purple"), "has no sequence purple"),
        (("--frames", "21"), "fewer frames"),
    ],
)
def test_what_cannot_be_made(root, tmp_path, capsys, options, words) -> None:
    assert start(root, tmp_path / "out", *options) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [("--frames", "11"), ("--drop", "1.5"), ("--drop", "much"), ("--every", "0"), ("--seed", "-1"), ("--gap", "-1")],
)
def test_options_that_are_refused(root, tmp_path, options) -> None:
    with pytest.raises(SystemExit) as ended:
        start(root, tmp_path / "out", *options)
    assert ended.value.code == 2


def test_a_damaged_annotation(tmp_path, capsys) -> None:
    root = tmp_path / "drawn"
    for name in ("red", "green"):
        drawn.write_drawn(root, name, FRAMES)
    damaged = root / "Annotations" / "480p" / "green" / "00004.png"
    damaged.write_bytes(b"none")
    assert start(root, tmp_path / "out") == 2
    assert "green/00004.png cannot be read as an annotation" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_that_lie_there_are_kept(root, made, capsys) -> None:
    assert start(root, made) == 2
    assert "is not empty" in capsys.readouterr().err
    assert np.array([path.stat().st_size for path in made.rglob("*.jpg")]).all()
