"""The formats of ``export``, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import OutputError
from backend.export import coco, coco_video, davis, mot, mots, yolo
from backend.export.checks import check_dataset, check_masks, check_pictures
from backend.export.dataset import Dataset
from backend.export.writing import OBJECTS_FILE, Cancelled, Export, Options, Summary, make_directory


@dataclass(frozen=True, eq=False)
class Format:
    """How datasets are written.

    Attributes:
        name: on the command line.
        help: one line.
        files: names in the directory that it writes, :data:`OBJECTS_FILE` aside.
        writer: fills the directory.
        needs_masks: cannot hold an object that has only boxes.
        by_video: each video has a directory of its own beside ``files``.
        splits: knows training from validation, so that :attr:`Options.val` can be above 0.
        jpeg_only: its pictures cannot be PNG.
    """

    name: str
    help: str
    files: tuple[str, ...]
    writer: Callable[[Export], None]
    needs_masks: bool = False
    by_video: bool = False
    splits: bool = False
    jpeg_only: bool = False

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        """The names of the files and directories that :meth:`write` makes for a dataset in its directory."""
        clips = self._export(dataset, Path(), Options()).clips if self.by_video else ()
        return (*self.files, OBJECTS_FILE, *(clip.name for clip in clips))

    def write(
        self,
        dataset: Dataset,
        directory: Path,
        options: Options | None = None,
        *,
        advance: Callable[[], None] = lambda: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Summary | None:
        """Write a dataset, and ``objects.json`` which says what the objects' numbers mean.

        Args:
            dataset: what to write.
            directory: made if it is not there; what is in it under the names of :meth:`outputs` is written over.
            options: the defaults where there are none.
            advance: called after each labelled frame.
            cancelled: asked before each labelled frame; True stops, and what was written until then is of no use.

        Returns:
            what was written; None where it was cancelled.

        Raises:
            OutputError: the format cannot hold the dataset, which is found out before anything is written; or a file
                cannot be written.
            VideoError: a frame cannot be read.
        """
        chosen = options or Options()
        self.check(dataset, chosen)
        export = self._export(dataset, make_directory(directory), chosen, advance, cancelled)
        try:
            self.writer(export)
        except Cancelled:
            return None
        export.write_objects()
        return export.summary

    def _export(
        self,
        dataset: Dataset,
        directory: Path,
        options: Options,
        advance: Callable[[], None] = lambda: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Export:
        return Export(dataset, directory, options, advance, cancelled, reserved=(*self.files, OBJECTS_FILE))

    def check(self, dataset: Dataset, options: Options) -> None:
        """Refuse what :meth:`write` would refuse before it writes anything.

        Raises:
            OutputError: the format cannot hold the dataset, or does not know an option.
        """
        check_dataset(dataset)
        if self.needs_masks:
            check_masks(dataset, self.name, [other.name for other in FORMATS.values() if not other.needs_masks])
        if options.pictures is not None:
            check_pictures(dataset)
        if self.jpeg_only and options.pictures == "png":
            raise OutputError(f"{self.name} has JPEG pictures; choose jpg, or leave the pictures out")
        if not 0 <= options.val < 1:
            raise OutputError(f"a part of {options.val} for validation; it has to be at least 0 and below 1")
        if options.val and not self.splits:
            splitting = ", ".join(other.name for other in FORMATS.values() if other.splits)
            raise OutputError(f"{self.name} knows no validation part; those that do are {splitting}")


def _table(*formats: Format) -> dict[str, Format]:
    return {item.name: item for item in formats}


FORMATS = _table(
    Format(
        "coco", "COCO instances: for each object of a frame a box, and a run-length mask if any", coco.FILES, coco.write
    ),
    Format(
        "coco-video",
        "COCO video as YouTube-VIS has it: for each object its masks over the frames",
        coco_video.FILES,
        coco_video.write,
        needs_masks=True,
    ),
    Format(
        "yolo-detect",
        "YOLO detection in Ultralytics' layout: a text file of boxes a frame",
        yolo.FILES,
        yolo.write_boxes,
        splits=True,
    ),
    Format(
        "yolo-segment",
        "YOLO segmentation in Ultralytics' layout: a text file of polygons a frame",
        yolo.FILES,
        yolo.write_polygons,
        needs_masks=True,
        splits=True,
    ),
    Format("mot", "MOTChallenge: a gt.txt of boxes a video", mot.FILES, mot.write, by_video=True),
    Format(
        "mots",
        "MOTS: a gt.txt of masks a video, and 16-bit images",
        mot.FILES,
        mots.write,
        needs_masks=True,
        by_video=True,
    ),
    Format(
        "davis",
        "DAVIS 2017: an indexed PNG a frame",
        davis.FILES,
        davis.write,
        needs_masks=True,
        jpeg_only=True,
    ),
)
