"""What a benchmark found: as values, and as the JSON file that a later one is compared with."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from backend.errors import DatasetError
from backend.export.results import write_text

FORMAT: Final = "keytrack-benchmark-1"

Count = Annotated[int, Field(ge=1)]


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True)


class Figure(_Values):
    """One thing measured several times."""

    values: Annotated[tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...], Field(min_length=1)]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def median(self) -> float:
        """The value in the middle."""
        return round(float(median(self.values)), 4)

    @property
    def low(self) -> float:
        """The least value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest value."""
        return max(self.values)


class Machine(_Values):
    """What was measured on: ``memory`` in bytes; ``waiting`` is OpenMP's policy for idle threads, if one is set."""

    cpu: str
    cores: Count
    memory: int
    system: str
    python: str
    torch: str
    device: str
    gpu: str | None
    dtype: str
    threads: Count
    waiting: str


class Case(_Values):
    """A clip to press ``t`` on."""

    objects: Count
    resolution: str
    width: Count
    height: Count
    frames: Count

    def __str__(self) -> str:
        plural = "" if self.objects == 1 else "s"
        return f"{self.objects} object{plural}, {self.resolution}, {self.frames} frames"


class Memory(_Values):
    """Bytes: of the process with the models ``loaded``, its ``peak``, and the peak on the ``device`` if it has its own.

    The process had nothing else to do than its case.
    """

    loaded: int
    peak: int
    device: int | None


class Clicks(_Values):
    """Milliseconds until the answer to a click, a brush mask for Label Studio, is written.

    ``first`` is on a frame that was not looked at before, ``stages`` is where its time goes; ``following`` is on the
    same frame.
    """

    first: Figure
    stages: dict[str, Figure]
    following: Figure


class Measured(_Values):
    """A case's figures, times in milliseconds per frame of its clip.

    ``wall`` is what a press takes from the file to the regions. ``stages`` share that out, except that on a device that
    works asynchronously they come from runs of their own, in which each stage waits for the device. A stage that the
    profile does not have is None. ``beside`` is what other threads did meanwhile. ``found`` is the part of all
    observations in which the object was found.
    """

    case: Case
    wall: Figure
    stages: dict[str, Figure | None]
    beside: dict[str, Figure]
    found: Annotated[float, Field(ge=0, le=1)]
    memory: Memory
    clicks: Clicks | None


class Report(_Values):
    """One run of the benchmark. ``load`` is the machine's load average before it began, where it has one.

    Older reports do not name the segmenter and the propagator: there was no choice.
    """

    format: Literal["keytrack-benchmark-1"] = FORMAT
    version: str
    commit: str | None
    date: str
    profile: str
    segmenter: str = "mobile_sam"
    propagator: str = "sam_tokens"
    machine: Machine
    load: float | None
    repeats: Count
    warm_up: int
    cases: tuple[Measured, ...]


def write_report(path: Path, report: Report) -> None:
    """Write a report as JSON.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, report.model_dump_json(indent=1) + "\n")


def read_report(path: Path) -> Report:
    """Read what :func:`write_report` wrote.

    Raises:
        DatasetError: it cannot be read, or is no such file; the message names the file and the place.
    """
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); give a JSON file of the benchmark") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DatasetError(
            f"{path}: this is no report of the benchmark that can be compared with: {place}: {first['msg']}; give the "
            "JSON file that an earlier benchmark wrote"
        ) from None
