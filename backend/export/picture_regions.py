"""A task's pictures in their order with the masks and boxes that were drawn on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from backend.errors import PayloadError
from backend.export.dataset import LabelledVideo
from backend.export.media import find_medium
from backend.export.reading import ROTATED, LabelledTask, Reading, Sketch, in_order
from backend.labelstudio.cut_video import cut_video
from backend.labelstudio.drawn import clip
from backend.labelstudio.media import UPLOADS
from backend.labelstudio.media_folder import media_parts, media_stem
from backend.labelstudio.regions import Size
from backend.labelstudio.results import PictureRegion
from backend.tracks import Box, Mask
from backend.video.clock import DEFAULT_FRAME_RATE
from backend.video.images import ImageSequence, SparseImages

DIFFERENT_LABELS = "the regions of one object have different labels; the first one is its class"
ON_ONE_IMAGE = (
    "no object is on more than one image, as each region has an id of its own; --objects label makes one object of the "
    "regions of a label, and meta.track_id of those that share it"
)


def label_pictures(item: LabelledTask, reading: Reading) -> LabelledVideo:
    """The pictures of a task as a video, all its frames labelled; or, where they were cut from a video, as that video,
    the frames labelled that were cut.

    Regions with the same ``meta.track_id`` are one object, and with them the region that has it for its id; else, where
    the user chose so, those of the same label; else those of the same id. Where an object has several masks on a
    picture they are joined, and where it has one, its boxes there do not count.

    Raises:
        PayloadError: no value, or several, may be the pictures; regions refer to two lists; a region is of a picture
            that is not there, or of another size; a brush is no mask; the task contradicts itself on which frames of
            a video the pictures are.
        MediaError: a picture is not at hand, and will be written, or nothing else tells its size.
        VideoError: the first picture cannot be read.
    """
    regions = item.results.pictures
    targets = {region.target: region.path for region in regions}
    if len(targets) > 1:
        *_, path = targets.values()
        raise PayloadError(
            f"{path}.to_name: the regions are of {len(targets)} images, and one list a task can be exported",
            f"{path}.to_name",
        )
    _, value = find_medium(item.task.data, "image", next(iter(targets), None), reading.choices.config, item.data_path)
    addresses = [value] if isinstance(value, str) else value
    cut = cut_video(item.task.data, len(addresses), item.data_path)
    indices = range(len(addresses)) if cut is None else cut.indices
    fps = reading.choices.frame_rate or (DEFAULT_FRAME_RATE if cut is None else cut.fps)
    images = _images(addresses, fps, reading) if reading.choices.pictures or not regions else None
    size = regions[0].size if images is None else (images.width, images.height)
    for region in regions:
        _check(region, size, len(addresses))
    objects = in_order(_objects(regions, indices, size, reading, item.place), reading, item.place)
    if all(len(one.boxes) == 1 for one in objects) and len({index for one in objects for index in one.boxes}) > 1:
        reading.notes.add(ON_ONE_IMAGE, item.place)
    return LabelledVideo(
        name=item.name(_title(addresses) if cut is None else cut.stem),
        size=size,
        length=indices[-1] + 1,
        fps=fps,
        labelled=indices,
        objects=objects,
        frames=images if images is None or cut is None else SparseImages(images, indices),
    )


def _objects(
    regions: Sequence[PictureRegion], indices: Sequence[int], size: Size, reading: Reading, place: str
) -> dict[str, Sketch]:
    """The objects by their ids; ``indices`` are the frames that the pictures are."""
    sketches: dict[str, Sketch] = {}
    tracks = {region.track_id for region in regions}
    for region in sorted(regions, key=lambda region: region.index):
        key = _identity(region, tracks, reading.choices.by_label)
        sketch = sketches.setdefault(key, Sketch.of(key, region.labels, reading, place))
        if sketch.label is None and region.labels:
            sketch.label = region.labels[0]
        elif region.labels[:1] not in ((), (sketch.label,)):
            reading.notes.add(DIFFERENT_LABELS, place)
        if region.rotated:
            reading.notes.add(ROTATED, place)
        _add(sketch, region, indices[region.index], size)
    return sketches


def _identity(region: PictureRegion, tracks: Collection[str | None], by_label: bool) -> str:
    """The id of the object; the prefixes keep numbers and labels from being taken for ids of regions."""
    if region.track_id is not None:
        return f"track:{region.track_id}"
    if region.id in tracks:  # what a human drew, and was tracked from
        return f"track:{region.id}"
    return f"label:{region.labels[0]}" if by_label and region.labels else region.id


def _add(sketch: Sketch, region: PictureRegion, frame: int, size: Size) -> None:
    drawn = region.mask()
    if drawn is not None:
        before = sketch.masks.get(frame)
        mask = Mask.from_array(drawn if before is None else drawn | before.array())
        if mask.box is not None:
            sketch.masks[frame] = mask
            sketch.boxes[frame] = mask.box
    elif region.box is not None and frame not in sketch.masks and clip(region.box, size) is not None:
        sketch.boxes[frame] = _around(region.box, sketch.boxes.get(frame, region.box))


def _around(a: Box, b: Box) -> Box:
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def _check(region: PictureRegion, size: Size, count: int) -> None:
    if region.index >= count:
        path = f"{region.path}.item_index"
        raise PayloadError(f"{path}: there is no image {region.index}: the task has {count}, the first is 0", path)
    if region.size != size:
        path = f"{region.path}.original_width"
        raise PayloadError(
            f"{path}: the region was drawn on an image of {region.size[0]} x {region.size[1]} pixels, the task's first "
            f"image has {size[0]} x {size[1]}; all have to be of one size, and the ones that were labelled",
            path,
        )


def _images(addresses: Sequence[str], fps: float, reading: Reading) -> ImageSequence:
    return ImageSequence([reading.media.find(address) for address in addresses], fps=fps)


def _title(addresses: Sequence[str]) -> str:
    """What the images are called together: their directory where they share one, else the first one's name."""
    parents = {PurePosixPath(*media_parts(address)).parent for address in addresses}
    shared = next(iter(parents)).name
    if len(addresses) > 1 and len(parents) == 1 and shared and UPLOADS not in addresses[0]:
        return shared
    return media_stem(addresses[0])
