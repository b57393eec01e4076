"""Label Studio's tasks to videos with objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.errors import DatasetError, MediaError, PayloadError, VideoError
from backend.export.dataset import Dataset
from backend.export.media import Media
from backend.export.notes import Notes
from backend.export.picture_regions import ON_ONE_IMAGE
from backend.export.reading import ROTATED, SEVERAL_LABELS, Choices, Reading
from backend.export.studio_tasks import NO_ANNOTATION, ONLY_NUMBERS, choose_labellings, read_tasks
from backend.labelstudio.exported import parse_tasks
from backend.labelstudio.media_folder import MediaFolder
from backend.labelstudio.project_config import parse_project_config
from backend.video.shelf import VideoShelf
from support.clips import coded_frames, make_clip, read_code
from support.exports import (
    annotation,
    brush_region,
    keyframe,
    rectangle_region,
    task,
    video_region,
    write_images,
)

COUNT = 12
SIZE = (160, 120)
IMAGES = {"frames": [f"/data/local-files/?d=seq/{index:05d}.png" for index in range(4)]}
CONFIG = """<View><Labels name="l" toName="video"><Label value="Person"/><Label value="Car"/></Labels>
<Video name="video" value="$video" frameRate="$fps"/><VideoRectangle name="box" toName="video"/></View>"""


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    """A clip of a constant frame rate, one of a variable one, and four images."""
    directory = tmp_path_factory.mktemp("media")
    make_clip(directory / "clip.mp4", coded_frames(COUNT), fps=10)
    times = [0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 1.6, 1.7, 1.8]
    make_clip(directory / "varying.mp4", coded_frames(COUNT), timestamps=times)
    write_images(directory / "seq", 4)
    return directory


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def read(media, notes):
    with VideoShelf() as shelf:

        def run(*tasks: dict, folder: Path | None = media, **choices) -> Dataset:
            chosen = Choices(**choices)
            found = Media(None if folder is None else MediaFolder(folder), None)
            reading = Reading(chosen, found, shelf, notes)
            return read_tasks(choose_labellings(parse_tasks(list(tasks)), chosen, notes), reading)

        yield run


def video_task(number: int | None, *regions: dict, name: str = "clip.mp4", **data) -> dict:
    return task(number, {"video": f"/data/upload/1/0a1b2c3d-{name}", **data}, regions)


def moving(name: str, label: str | None = "Car", first: int = 1, last: int = COUNT, **value) -> dict:
    """Two pixels a Label Studio frame to the right, from x = 0 at the first one."""
    step = 100 / SIZE[0] * 2
    sequence = [keyframe(first, x=0, y=0), keyframe(last, x=(last - first) * step, y=0)]
    return video_region(name, sequence, label, **value)


def test_the_frames_are_those_that_were_labelled(read):
    """At the file's own rate Label Studio's frame N is the N-th of the file."""
    (video,) = read(video_task(4, moving("a", framesCount=12, duration=1.2))).videos
    assert (video.name, video.size, video.length, video.fps) == ("4-clip", SIZE, COUNT, 10)
    assert video.labelled == list(range(COUNT))
    (found,) = video.objects
    assert (found.id, found.label) == ("a", "Car")
    assert [box[0] for box in found.boxes.values()] == pytest.approx([2 * index for index in range(COUNT)])
    assert [read_code(video.frames.frame(index)) for index in video.labelled] == video.labelled


def test_at_a_wrong_rate_frames_are_placed_by_time(read, notes):
    """Counted at 24 the clip of 1.2 s has 29 frames: each of the file is shown two or three times."""
    (video,) = read(video_task(4, moving("a", last=29, framesCount=29, duration=1.2))).videos
    assert video.labelled == list(range(COUNT))
    shown_first = [next(n for n in range(30) if n / 24 + 0.002 >= index / 10) for index in range(COUNT)]
    lefts = [box[0] for box in video.objects[0].boxes.values()]
    # The last keyframe lies on the file's last frame, and is what a human drew.
    assert lefts == pytest.approx([*(2 * n for n in shown_first[:-1]), 2 * 28])
    assert any("24 frames per second, but the video has 10" in line for line in notes.lines())


def test_at_a_lower_rate_frames_that_were_never_shown_are_not_labelled(read):
    (video,) = read(video_task(4, moving("a", last=6), fps=5)).videos
    assert video.labelled == [0, 2, 4, 6, 8, 10]
    assert sorted(video.objects[0].boxes) == video.labelled
    assert video.objects[0].boxes[4][0] == pytest.approx(4)


def test_at_a_variable_rate_frames_are_placed_by_time(read, notes):
    """The file's frame 3 comes at 0.6 s: Label Studio's frame 7."""
    (video,) = read(video_task(4, moving("a", last=19), name="varying.mp4", fps=10)).videos
    assert video.labelled == list(range(COUNT))
    found = video.objects[0].boxes
    assert [found[index][0] for index in (0, 1, 2, 3, 4, 8, 11)] == pytest.approx([0, 2, 4, 12, 14, 30, 36])
    assert [read_code(image) for _, image in video.frames.frames(0, 4)] == [0, 1, 2, 3]
    assert any("frame rate varies" in line for line in notes.lines())


def test_the_rate_comes_from_the_option_then_the_configuration_then_the_regions(read, notes):
    said = moving("a", last=4, framesCount=12, duration=1.2)
    config = parse_project_config(CONFIG)
    assert read(video_task(4, said, fps=5)).videos[0].labelled == list(range(COUNT))  # the regions say 10
    assert len(notes) == 0
    assert read(video_task(4, said, fps=5), config=config).videos[0].labelled == [0, 2, 4, 6, 8, 10]
    assert any("said to be 5, but the regions were drawn at 10" in line for line in notes.lines())
    assert read(video_task(4, said), config=config, frame_rate=2.5).videos[0].labelled == [0, 4, 8]


def test_objects_are_numbered_by_their_first_frame_then_by_their_id(read):
    regions = [moving("z", first=1), moving("b", first=5), moving("a", first=5), moving("y", first=3)]
    for order in (regions, regions[::-1]):
        (video,) = read(video_task(4, *order, fps=10)).videos
        assert [item.id for item in video.objects] == ["z", "y", "a", "b"]


def test_labels_are_in_the_order_of_the_configuration_else_of_the_alphabet(read, notes):
    regions = [moving("a", "Person"), moving("b", "Zebra"), moving("c", "Car"), moving("d", "Ape"), moving("e", None)]
    dataset = read(video_task(4, *regions, fps=10))
    assert dataset.labels == ["Ape", "Car", "Person", "Zebra"]
    assert [item.label for item in dataset.videos[0].objects] == ["Person", "Zebra", "Car", "Ape", None]
    assert len(notes) == 0
    config = parse_project_config(CONFIG)
    assert read(video_task(4, *regions, fps=10), config=config).labels == ["Person", "Car", "Ape", "Zebra"]
    assert "no label 'Ape'" in next(notes.lines())


def test_what_cannot_be_written_as_it_is_is_noted_once(read, notes):
    turned = [keyframe(1, rotation=30), keyframe(9, rotation=30)]
    both = moving("c")
    both["value"]["labels"] = ["Car", "Red"]
    outside = video_region("d", [keyframe(1, x=200)])
    late = video_region("e", [keyframe(1), keyframe(20)])
    others = [{"type": "choices"}, {"type": "choices"}, {"type": "timelinelabels"}]
    regions = [video_region("a", turned), video_region("b", turned), both, outside, late, *others]
    (video,) = read(video_task(4, *regions, fps=10)).videos
    assert [item.id for item in video.objects] == ["a", "b", "c", "e"]
    lines = list(notes.lines())
    assert f"{ROTATED} (2 times: task 4)" in lines
    assert f"{SEVERAL_LABELS} (task 4)" in lines
    assert any(line.startswith("an object is left out") for line in lines)
    assert any("frame 20, where the timeline ends with 12" in line for line in lines)
    assert "left aside: 2 of the type choices (task 4)" in lines


def test_a_keyframe_long_after_the_end_is_refused(read):
    """Less than a second is a matter of rounding."""
    regions = [moving("a"), video_region("b", [keyframe(99), keyframe(5), keyframe(1)])]
    with pytest.raises(PayloadError, match=r"task 4: .*Label Studio's frame 99, .* ends with 12.*give --f") as caught:
        read(video_task(4, *regions, fps=10))
    assert caught.value.path == "[0].annotations[0].result[1].value.sequence[0].frame"


def test_a_video_of_another_length_is_noted(read, notes):
    assert read(video_task(4, moving("a", framesCount=12, duration=1.19))) is not None
    assert len(notes) == 0
    read(video_task(4, moving("a", framesCount=30, duration=3)))
    assert "labelled on a video of 3 s, and the one found has 1.2 s" in next(notes.lines())


def test_boxes_are_as_they_were_drawn_beyond_the_border_too(read):
    sequence = [keyframe(1, x=-10, y=90, width=20, height=20), keyframe(2, x=-20, y=90, width=20, height=20)]
    (found,) = read(video_task(4, video_region("a", sequence), fps=10)).videos[0].objects
    assert found.boxes == {0: pytest.approx((-16, 108, 16, 132))}


def test_regions_that_cannot_be_exported_are_refused_unless_the_user_says_so(read, notes):
    polygon = {"id": "p", "type": "PolygonLabels", "value": {"points": []}}
    labelled = video_task(4, moving("a"), polygon, fps=10)
    with pytest.raises(PayloadError, match=r"'PolygonLabels' cannot be exported.* --ignore polygonlabels") as caught:
        read(labelled)
    assert caught.value.path == "[0].annotations[0].result[1].type"
    (video,) = read(labelled, ignored=frozenset({"polygonlabels"})).videos
    assert [item.id for item in video.objects] == ["a"]
    assert "left aside: 1 of the type polygonlabels (task 4)" in notes.lines()


def test_tasks_without_an_annotation_are_left_out(read, notes):
    predicted = video_task(3, fps=10) | {"annotations": [], "predictions": [{"result": [moving("p")]}]}
    numbers = video_task(5, fps=10) | {"annotations": [], "predictions": [8]}
    skipped = video_task(6, fps=10) | {"annotations": [annotation([], was_cancelled=True)]}
    labelled = video_task(4, moving("a"), fps=10)
    tasks = (predicted, labelled, numbers, skipped)
    assert [video.name for video in read(*tasks).videos] == ["4-clip"]
    assert list(notes.lines()) == [f"{NO_ANNOTATION} (3 times: task 3, task 5, task 6)"]
    dataset = read(*tasks, predictions=True)
    assert [(video.name, video.objects[0].id) for video in dataset.videos] == [("3-clip", "p"), ("4-clip", "a")]
    assert f"{ONLY_NUMBERS} (task 5)" in notes.lines()
    with pytest.raises(DatasetError, match="1 of them have predictions, which --predictions exports"):
        read(predicted, skipped)


def test_an_annotation_without_regions_is_a_video_without_objects(read):
    dataset = read(video_task(4, fps=10), task(5, IMAGES, []))
    assert [(video.name, video.objects, video.length) for video in dataset.videos] == [
        ("4-clip", [], COUNT),
        ("5-seq", [], 4),
    ]


def test_tasks_without_ids_are_named_by_their_position(read):
    dataset = read(video_task(None, fps=10), video_task(None, fps=10))
    assert [video.name for video in dataset.videos] == ["1-clip", "2-clip"]


def test_the_video_is_where_the_configuration_says(read):
    data = {"a": "/x/clip.mp4", "b": "/x/varying.mp4", "clip": "street", "fps": 10}
    config = parse_project_config(CONFIG.replace("$video", "$b"))
    assert read(task(4, data, [moving("r")]), config=config).videos[0].name == "4-varying"
    with pytest.raises(
        PayloadError, match=r"which of its values is the video\? It has a, b; .*--label-config"
    ) as caught:
        read(task(4, data, [moving("r")]))
    assert caught.value.path == "[0].data"
    with pytest.raises(PayloadError, match="refer to 'video', and the labeling configuration has 'v'"):
        read(task(4, data, [moving("r")]), config=parse_project_config('<Video name="v" value="$b"/>'))
    # A value with the tag's own name is it, and the only one that looks like it.
    assert read(task(4, data | {"video": "/x/clip.mp4"}, [moving("r")])).videos[0].name == "4-clip"
    assert read(task(4, {"film": "/x/clip.mp4", "poster": "/x/p.png", "fps": 10}, [moving("r")])).videos


# --- images ---


def square(left: int, side: int = 6, size: tuple[int, int] = (40, 30)) -> np.ndarray:
    mask = np.zeros(size[::-1], bool)
    mask[5 : 5 + side, left : left + side] = True
    return mask


def test_brush_masks_of_images_are_objects_over_time(read):
    regions = [
        brush_region("a", 0, square(3)),
        brush_region("a", 2, square(9)),
        brush_region("b", 1, square(20), "Bus"),
    ]
    dataset = read(task(5, IMAGES, regions))
    (video,) = dataset.videos
    assert dataset.labels == ["Bus", "Car"]
    assert (video.name, video.size, video.length, list(video.labelled)) == ("5-seq", (40, 30), 4, [0, 1, 2, 3])
    first, second = video.objects
    assert (first.id, first.label, sorted(first.masks)) == ("a", "Car", [0, 2])
    assert np.array_equal(first.masks[2].array(), square(9))
    assert first.boxes == {0: (3, 5, 9, 11), 2: (9, 5, 15, 11)}
    assert (second.id, second.boxes) == ("b", {1: (20, 5, 26, 11)})
    assert [int(video.frames.frame(index)[0, 0, 0]) for index in range(4)] == [0, 10, 20, 30]


def test_the_same_track_id_is_one_object_and_on_demand_the_same_label(read):
    regions = [
        brush_region("a", 0, square(3), meta={"track_id": 7}),
        brush_region("b", 1, square(3), meta={"track_id": "7"}),
        brush_region("c", 2, square(3)),
        brush_region("d", 3, square(3)),
        brush_region("e", 3, square(20)),
        brush_region("f", 3, square(20), None),
    ]

    def objects(**choices) -> list[tuple[str, list[int]]]:
        return [(item.id, sorted(item.boxes)) for item in read(task(5, IMAGES, regions), **choices).videos[0].objects]

    assert objects() == [("track:7", [0, 1]), ("c", [2]), ("d", [3]), ("e", [3]), ("f", [3])]
    assert objects(by_label=True) == [("track:7", [0, 1]), ("label:Car", [2, 3]), ("f", [3])]
    joined = read(task(5, IMAGES, regions), by_label=True).videos[0].objects[1]
    assert np.array_equal(joined.masks[3].array(), square(3) | square(20))
    assert joined.boxes[3] == (3, 5, 26, 11)


def test_what_was_tracked_from_a_region_is_one_object_with_it(read):
    """The region that a human drew may have no track's name, and others have its id for theirs."""
    drawn = brush_region("drawn", 1, square(3))
    tracked = [brush_region(f"drawn-{at}", at, square(3 + at)) | {"meta": {"track_id": "drawn"}} for at in (2, 3)]
    other = brush_region("other", 1, square(20))
    (video,) = read(task(5, IMAGES, [*tracked, drawn, other])).videos
    assert [(item.id, sorted(item.masks)) for item in video.objects] == [("other", [1]), ("track:drawn", [1, 2, 3])]


def test_rectangles_of_images(read):
    size = (40, 30)
    regions = [
        rectangle_region("a", 0, size, (-10, 10, 50, 50), "Car"),
        rectangle_region("a", 1, size, (10, 10, 50, 50), "Car"),
        brush_region("a", 1, square(3)),
        rectangle_region("b", 2, size, (10, 10, 10, 10), "Bus"),
        rectangle_region("b", 2, size, (50, 50, 10, 10), "Bus"),
    ]
    first, second = read(task(5, IMAGES, regions)).videos[0].objects
    assert first.boxes[0] == pytest.approx((-4, 3, 16, 18))  # as it was drawn
    assert first.boxes[1] == (3, 5, 9, 11)  # the mask's
    assert sorted(first.masks) == [1]
    assert second.boxes[2] == pytest.approx((4, 3, 24, 18))  # around both


def test_that_nothing_joins_the_regions_of_an_object_is_noted(read, notes):
    alone = [brush_region("a", 0, square(3)), brush_region("b", 1, square(3))]
    assert len(read(task(5, IMAGES, alone)).videos[0].objects) == 2
    assert list(notes.lines()) == [f"{ON_ONE_IMAGE} (task 5)"]
    assert len(read(task(5, IMAGES, alone), by_label=True).videos[0].objects) == 1
    read(task(5, IMAGES, [brush_region("a", 0, square(3)), brush_region("b", 0, square(3))]))
    assert len(notes) == 1


def test_different_labels_of_one_object_are_noted(read, notes):
    regions = [
        brush_region("a", 0, square(3), None),
        brush_region("a", 1, square(3)),
        brush_region("a", 2, square(3), "Bus"),
    ]
    assert read(task(5, IMAGES, regions)).videos[0].objects[0].label == "Car"
    assert "different labels" in next(notes.lines())


def test_images_need_not_be_at_hand_where_none_is_written(read, tmp_path):
    labelled = task(5, IMAGES, [brush_region("a", 0, square(3))])
    (video,) = read(labelled, folder=None, pictures=False).videos
    assert (video.frames, video.size, video.length) == (None, (40, 30), 4)
    with pytest.raises(MediaError, match=r"task 5: seq/00000\.png was not found: give --media DIR"):
        read(labelled, folder=None)


def test_a_single_image_is_a_video_of_one_frame(read):
    data = {"image": "/data/local-files/?d=seq/00002.png"}
    (video,) = read(task(5, data, [brush_region("a", 0, square(3))])).videos
    assert (video.name, video.length, list(video.labelled)) == ("5-00002", 1, [0])


@pytest.mark.parametrize(
    ("region", "path", "message"),
    [
        (brush_region("a", 4, square(3)), "item_index", "there is no image 4: the task has 4"),
        (
            brush_region("a", 0, square(3, size=(40, 31))),
            "original_width",
            "40 x 31 pixels, the task's first image has",
        ),
        (brush_region("a", 0, square(3)) | {"original_width": 1 << 20}, "original_width", "drawn on an image of"),
        (
            brush_region("a", 0, square(3)) | {"value": {"format": "rle", "rle": [0]}},
            "value.rle",
            "ends within 1 bytes",
        ),
        (brush_region("a", 0, square(3)) | {"to_name": "other"}, "to_name", "of 2 images"),
        (moving("v"), None, "a task with regions of a video and of an image"),
    ],
)
def test_regions_that_contradict_the_task_are_refused(read, region, path, message):
    good = brush_region("ok", 0, square(3))
    with pytest.raises(PayloadError, match=f"task 5: .*{message}") as caught:
        read(task(5, IMAGES, [good, region]))
    assert caught.value.path == (f"[0].annotations[0].result[1].{path}" if path else "[0].annotations[0].result[0]")


def test_regions_of_two_videos_are_refused(read):
    with pytest.raises(PayloadError, match="regions are of 2 videos"):
        read(video_task(4, moving("a"), moving("b") | {"to_name": "second"}))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"video": "/data/upload/1/00000000-gone.mp4"}, MediaError, r"task 4: .*gone\.mp4 was not found under --media"),
        ({"video": ""}, PayloadError, "which of its values is the video"),
        ({}, PayloadError, "It has nothing"),
        ({"video": ["a.mp4"]}, PayloadError, "expected the video's address, found"),
        ({"video": "seq/00001.png"}, VideoError, "task 4: 00001.png is a PNG image"),
    ],
)
def test_a_video_that_is_not_at_hand(read, data, error, message):
    with pytest.raises(error, match=message):
        read(task(4, data, [moving("a")]))


def test_reading_stops_on_demand(media, notes):
    answers = iter([False, True])
    chosen = Choices()
    tasks = choose_labellings(parse_tasks([video_task(1, fps=10), video_task(2, fps=10)]), chosen, notes)
    done = []
    with VideoShelf() as shelf:
        reading = Reading(chosen, Media(MediaFolder(media), None), shelf, notes, lambda: next(answers))
        assert read_tasks(tasks, reading, lambda: done.append(1)) is None
    assert done == [1]
