"""What reads something that others made: any bytes lead to a result or to an error for people, and to nothing else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from backend.cli.prompts import parse_prompt, read_prompts
from backend.detections.files import open_detections
from backend.errors import KeytrackError, PayloadError
from backend.labelstudio.brush import decode_mask, encode_mask
from backend.labelstudio.config import parse_config
from backend.labelstudio.cut_video import cut_video
from backend.labelstudio.drawn import draw
from backend.labelstudio.edits import split_human
from backend.labelstudio.exported import parse_tasks
from backend.labelstudio.picture_config import PictureConfig, parse_picture_config, read_config
from backend.labelstudio.picture_marks import parse_marks
from backend.labelstudio.project_config import parse_project_config
from backend.labelstudio.regions import format_region, parse_regions, prompts, to_box
from backend.labelstudio.results import parse_results
from backend.labelstudio.strokes import Stroke, paint
from backend.labelstudio.targets import find_target
from backend.labelstudio.task_boxes import find_boxes, is_annotated, model_versions
from backend.labelstudio.working_copy import working_copy
from backend.service.payloads import PredictRequest, SetupRequest, WebhookRequest, annotator_of, parse_body
from backend.service.payloads import parse_tasks as parse_predicted
from backend.service.video_payloads import PredictRequest as VideoPredict
from backend.service.video_payloads import PrewarmRequest, TrackRequest, check, read_marks
from backend.tracks import ImageArray
from backend.video.clock import FrameClock
from backend.video.images import read_image
from backend.video.reader import VideoReader
from fuzz import files
from fuzz.choosing import Choices
from support.service import CONFIG, HEIGHT, WIDTH, choice, keyframe, press, region, task

SIZE = (WIDTH, HEIGHT)
FRAMES = 30
PICTURES = (Path(__file__).parents[2] / "labelstudio_config" / "frames_masks.xml").read_text("utf-8")
VIDEO_CONFIG = parse_config(CONFIG)
PICTURE_CONFIG = parse_picture_config(PICTURES)
XML = ("<Video/>", "<Label value='x'/>", "&lt;", "&x;", "<!DOCTYPE x>", "<![CDATA[", 'toName="video"', "<", ">", '"')

REGIONS = [
    region("a", keyframe(5, 40, 30, 32, 24), keyframe(20, 60, 30, 32, 24, enabled=False), keyframe(25, 1, 1, 5, 5)),
    region("b", keyframe(1, -5, -5, 200, 10, rotation=45.0)),
]
RESULT = [*REGIONS, choice(REGIONS[0], "both"), {"type": "relation", "from_id": "a", "to_id": "b"}]
DRAWING = np.zeros((9, 16), bool)
DRAWING[2:5, 3:9] = True
PLACE = {"original_width": 16, "original_height": 9, "image_rotation": 0, "item_index": 1, "to_name": "img"}
STROKE = {"type": "add", "relativePoints": [10.0, 10.0, 50.0, 60.0], "relativeStrokeWidth": 5.0}
MARKS: list[dict[str, Any]] = [
    {**PLACE, "id": "k", "type": "keypointlabels", "from_name": "click", "is_positive": True,
     "value": {"x": 10.0, "y": 50.0, "width": 0.2, "keypointlabels": ["Car"]}},
    {**PLACE, "id": "r", "type": "rectanglelabels", "from_name": "rect",
     "value": {"x": 10.0, "y": 5.0, "width": 20.0, "height": 9.0, "rotation": 0, "rectanglelabels": ["Car"]}},
    {**PLACE, "id": "m", "type": "brushlabels", "from_name": "brush",
     "value": {"format": "rle", "rle": encode_mask(DRAWING), "touches": [STROKE], "brushlabels": ["Car"]}},
]  # fmt: skip
ANNOTATED = {
    **task(),
    "annotations": [{"id": 1, "result": RESULT, "was_cancelled": False, "updated_at": "2026-01-02T03:04:05Z"}],
    "predictions": [{"id": 2, "result": RESULT, "model_version": "v", "score": 0.5}],
    "drafts": [{"id": 3, "user": "a@b", "result": RESULT, "updated_at": "2026-01-02T03:04:06Z"}],
}
CONTEXT: dict[str, Any] = {
    "event": "track", "frame": 3, "time_ms": 100.0, "object": "o", "direction": "both", "max_frames": 5,
    "result": [{"type": "keypointlabels", "value": {"x": 50.0, "y": 50.0, "positive": True}},
               {"type": "rectanglelabels", "value": {"x": 5.0, "y": 5.0, "width": 9.0, "height": 9.0}}],
}  # fmt: skip
PROMPTS = [
    {"name": "cat", "label": "Animal", "frame": 12, "box": [40, 30, 120, 90]},
    {"name": "cat", "frame": 80, "points": [{"x": 60, "y": 50, "positive": False}]},
    {"name": "dog", "frame": 0, "mask": "dog.png", "mask_value": 2},
]
COCO = {
    "images": [{"id": 1, "file_name": "00001.jpg", "width": WIDTH, "height": HEIGHT}],
    "categories": [{"id": 1, "name": "car"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}],
}
CUT = {"video": "a.mp4", "fps": 10.0, "times": [0.0, 0.5], "indices": [0, 5], "cut": "c0ffee"}


class _Video:
    """A video without pictures, of which detections may be."""

    path = Path("00001.mp4")
    width, height, fps, duration = WIDTH, HEIGHT, 10.0, FRAMES / 10
    timestamps = np.arange(FRAMES) / 10
    warnings = ()

    def __len__(self) -> int:
        return FRAMES


def regions(choices: Choices) -> None:
    """A result with regions over a video, and what is made of each of them."""
    found = parse_regions(choices.damaged(RESULT), VIDEO_CONFIG)
    clock = FrameClock(_Video.timestamps, _Video.duration, choices.one_of((10.0, 24.0, None, 30.0, 7.3)))
    for one in found:
        frames = [item["frame"] for item in one.items]
        human = one.items[:: 1 + choices.below(2)]
        split_human(one.items, human, frames)
        for item in one.items:
            to_box(item, SIZE)
        if human:
            prompts(one, [item["frame"] for item in human], clock, SIZE)
        if human and choices.below(3) == 0:  # it takes ten times as long as all the rest
            boxes = {index: None if choices.below(4) == 0 else (1.0, 2.0, 30.0, 40.0) for index in range(FRAMES)}
            made = format_region(one, boxes, clock, SIZE, human=human)
            back = {item["frame"]: item for item in made["value"]["sequence"]}
            assert all(back[item["frame"]] is item for item in human), "a human's keyframe is not as it was"
        draw(one.items, clock, SIZE)


def results(choices: Choices) -> None:
    """A result of an export: videos' regions and pictures'."""
    result = choices.damaged([*RESULT, *MARKS[1:]])
    found = parse_results(result if isinstance(result, list) else [result], "result")
    for one in found.pictures:
        one.mask()


def marks(choices: Choices) -> None:
    """What is marked on pictures, and the masks among it."""
    for one in parse_marks(choices.damaged(MARKS), PICTURE_CONFIG, 3).masks:
        one.mask()


def strokes(choices: Choices) -> None:
    """What was painted and is not a mask yet."""
    found = [
        Stroke(type="add" if choices.below(2) else "eraser", relativePoints=points, relativeStrokeWidth=width)
        for points, width in [
            (
                [choices.below(1 << 16) / 50 - 600 for _ in range(2 + choices.below(8))],
                0.01 + choices.below(1 << 16) / 66,
            )
            for _ in range(choices.below(4))
        ]
    ]
    shape = (1 + choices.below(300), choices.one_of((1 + choices.below(300),) * 7 + (3000,)))
    painted = paint(np.zeros(shape, bool), found)
    assert painted.shape == shape


def brush(choices: Choices) -> None:
    """A stream of runs, of a size that may be the right one."""
    width, height = 1 + choices.below(20), 1 + choices.below(20)
    stream = encode_mask(np.arange(width * height).reshape(height, width) % (2 + choices.below(9)) == 0)
    if choices.below(2):
        stream[4:] = choices.rest
    for _ in range(choices.below(4)):
        stream[choices.below(len(stream))] = choices.below(256)
    assert decode_mask(stream, (width, height)).shape == (height, width)


def tasks(choices: Choices) -> None:
    """A task as an export and a call have it, with annotations, predictions and drafts."""
    one = choices.damaged(ANNOTATED)
    for read in (working_copy, annotator_of, model_versions, is_annotated, lambda value: [*parse_tasks(value)]):
        _tolerate(lambda read=read: read(one))
    _tolerate(lambda: parse_predicted([one]))
    boxes = find_boxes(one, VIDEO_CONFIG)
    if boxes is not None:
        clock = FrameClock(_Video.timestamps, _Video.duration, 10.0)
        _tolerate(lambda: boxes.detections(clock, SIZE))


def bodies(choices: Choices) -> None:
    """The bodies of calls and webhooks."""
    setup = {"project": "1.1", "schema": "<View/>", "hostname": "http://a", "access_token": "t", "extra_params": None}
    webhook = {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "task": {"id": 1}, "annotation": {"id": 1}}
    model, body = choices.one_of(((PredictRequest, press(*RESULT)), (SetupRequest, setup), (WebhookRequest, webhook)))
    parse_body(model, choices.damaged(body))


def contexts(choices: Choices) -> None:
    """Contexts of the interactive video protocol."""
    context = choices.damaged(CONTEXT)
    if not isinstance(context, dict):
        return
    for model in (PrewarmRequest, VideoPredict, TrackRequest):
        request = check(model, context)
        assert 0 <= request.index(_Video()) < FRAMES  # type: ignore[arg-type]
        if isinstance(request, VideoPredict):
            for name, marked in read_marks(request).items():
                marked.prompt(name, 3, WIDTH, HEIGHT)
        if isinstance(request, TrackRequest):
            assert 0 <= request.reach(10.0, 300) <= 300


def configs(choices: Choices) -> None:
    """Labeling configurations, and tasks that may fit them."""
    xml = choices.damaged_text(choices.one_of((CONFIG, PICTURES)), XML)
    for read in (parse_config, parse_picture_config, parse_project_config, find_target):
        _tolerate(lambda read=read: read(xml))
    config = read_config(xml)
    data = {"video": choices.anything(), "fps": choices.anything(), "frames": choices.anything()}
    if isinstance(config, PictureConfig):
        config.frames_of(data)
        return
    rate = config.frame_rate_of(data)
    _tolerate(lambda: config.video_of(data))
    FrameClock(_Video.timestamps, 0.2, rate)


def cuts(choices: Choices) -> None:
    """Tasks whose images were cut from a video."""
    data = choices.damaged(CUT)
    if isinstance(data, dict):
        cut_video(data, 2, "data")


def prompt_files(choices: Choices) -> None:
    """Prompts: on the command line, and in a file."""
    line = choices.damaged_text("cat:Animal@12 box=40,30,120,90 points=+60,50;-9,2 mask=a.png#2", ("@", "=", "#", ";"))
    _tolerate(lambda: parse_prompt(line))
    _with_file(_json(choices.damaged(PROMPTS)), read_prompts)


def detection_files(choices: Choices) -> None:
    """Files of detections, of either format."""

    def read(path: Path) -> None:
        found = open_detections(path)
        found.detections(_Video(), choices.one_of((None, *found.names)))  # type: ignore[arg-type]

    if choices.below(2):
        rows = "1,-1,10,20,30,40,0.9\n2,-1,1.5,2,3,4,1,-1,-1,-1\n"
        _with_file(choices.damaged_text(rows, (",", "-", "nan", "1e400", "\n")).encode("utf-8", "replace"), read)
    else:
        valid = choices.one_of((COCO, COCO["annotations"]))
        _with_file(_json(choices.damaged(valid)), read)


def images(choices: Choices) -> None:
    """Image files."""
    content = choices.damaged_bytes(files.image(choices.one_of(files.IMAGES)))
    _with_file(content, lambda path: _is_image(read_image(path)))


def videos(choices: Choices) -> None:
    """Video files, frame by frame, there and back."""
    content = choices.damaged_bytes(files.video(choices.one_of(sorted(files.VIDEOS))))

    def read(path: Path) -> None:
        with VideoReader(path, cache_bytes=1 << 16) as video:
            for index in (*range(min(len(video), 20)), *range(min(len(video), 20) - 1, -1, -3)):
                _is_image(video.frame(index))
            assert (np.diff(video.timestamps) >= 0).all()
            FrameClock(video.timestamps, video.duration, choices.one_of((None, 10.0, 1000.0)))

    _with_file(content, read)


def _is_image(image: ImageArray) -> None:
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


TARGETS: MappingProxyType[str, Callable[[Choices], None]] = MappingProxyType(
    {
        target.__name__: target
        for target in (
            *(regions, results, marks, strokes, brush, tasks, bodies, contexts, configs, cuts),
            *(prompt_files, detection_files, images, videos),
        )
    }
)


def run(name: str, data: bytes) -> None:
    """Have a target read what the bytes make of valid input."""
    _tolerate(lambda: TARGETS[name](Choices(data)))


def _tolerate(call: Callable[[], object]) -> None:
    """Errors for people are as they should be, as long as they say something that can be sent."""
    try:
        call()
    except KeytrackError as error:
        assert str(error).strip()
        assert not isinstance(error, PayloadError) or len(str(error)) < 5000


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _with_file(content: bytes, read: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "file.json")
        path.write_bytes(content)
        read(path)
