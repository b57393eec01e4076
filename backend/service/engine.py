"""The models behind the service: which ones, on what, and when they are loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from backend import checkpoints
from backend.errors import SettingsError
from backend.service.job import Job
from backend.settings import Settings
from backend.tracks import Detection, Direction, FrameResult, Prompt

if TYPE_CHECKING:
    from torch import Tensor

    from backend.tracking.click import Answer
    from backend.tracking.everything import EverythingRules
    from backend.tracking.labels import Labels
    from backend.tracking.learned import Learned
    from backend.tracking.lives import Rules
    from backend.tracking.standing import Standing
    from backend.tracking.stretches import Before
    from backend.video.frames import Frames

logger = logging.getLogger(__name__)

PARTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"lite": ("mobile_sam", "sam_tokens"), "full": ("sam_vit_h", "xmem_s012")}
)
"""The segmenter and the propagator of each profile."""


class Tracker(Protocol):
    """What :class:`backend.tracking.tracker.VideoTracker` offers."""

    def track(
        self,
        video: Frames,
        prompts: Sequence[Prompt],
        *,
        span: tuple[int, int] | None = None,
        direction: Direction | Mapping[str, Direction] = "both",
        before: Mapping[str, Before] = ...,
        standing: Standing | None = ...,
        cancelled: Callable[[], bool] = ...,
    ) -> Iterator[FrameResult]:
        """Results as they come, nearest to the prompts first."""

    def track_detections(
        self,
        video: Frames,
        detections: Mapping[int, Sequence[Detection]],
        *,
        rules: Rules = ...,
        labels: Labels | None = ...,
        learned: Learned | None = ...,
        cancelled: Callable[[], bool] = ...,
    ) -> Iterator[FrameResult]:
        """A result for every frame, in order, and later ones of earlier frames."""

    def track_everything(
        self,
        video: Frames,
        *,
        rules: EverythingRules = ...,
        learned: Learned | None = ...,
        cancelled: Callable[[], bool] = ...,
    ) -> Iterator[FrameResult]:
        """Results as those of detections."""

    def click(self, video: Frames, prompt: Prompt, logits: Tensor | None = None) -> Answer:
        """What is made out where a human has clicked; ``logits`` of the answer before to go on from."""

    def prepare(self, video: Frames, frame: int) -> None:
        """Encode a frame for a click on it."""

    def prepared(self, video: Frames, frame: int) -> bool:
        """Whether it is encoded; may be asked by any thread."""

    def forget(self, identity: Hashable) -> None:
        """Let go of what is kept of a video, by its identity; may be called by any thread."""


@dataclass(frozen=True)
class Choice:
    """What the settings come to on this machine: each field is the setting of that name, and none is ``auto``."""

    profile: str
    device: str
    segmenter: str
    propagator: str
    embedder: str = "sam"

    def __str__(self) -> str:
        parts = [self.segmenter, self.propagator, *self._special]
        return f"profile {self.profile} on {self.device} ({' + '.join(parts)})"

    @property
    def name(self) -> str:
        """What tells tracks of other models apart: the profile that has these parts, or the parts where none has."""
        parts = self.segmenter, self.propagator
        profile = next((profile for profile, own in PARTS.items() if own == parts), None)
        return "-".join([*([profile] if profile else parts), *self._special])

    @property
    def weights(self) -> tuple[str, ...]:
        """The checkpoints that the parts need."""
        return _weights(self.segmenter, self.propagator, self.embedder)

    @property
    def _special(self) -> list[str]:
        """The embedder, where it is not the usual one."""
        usual = type(self).embedder
        return [] if self.embedder == usual else ["unguarded" if self.embedder == "off" else self.embedder]

    def applied(self, settings: Settings) -> Settings:
        """The settings with all of this in them."""
        return settings.model_copy(update=asdict(self))


def choose(settings: Settings) -> Choice:
    """The profile, the device and the parts; ``auto`` takes the best that there is. Imports torch, fetches nothing.

    Raises:
        SettingsError: this machine does not have the device, or the device no CUDA graphs.
        WeightsError: weights that are there cannot be read.
    """
    device = _device(settings.device)
    if settings.xmem_mode == "graphs" and not device.startswith("cuda"):
        raise SettingsError(f"KEYTRACK_XMEM_MODE / --xmem-mode graphs: CUDA graphs need a CUDA device, not {device}")
    profile = settings.profile
    if profile == "auto":
        profile = (
            "full"
            if device.startswith("cuda") and _is_there("full", settings.embedder, settings.weights_dir)
            else "lite"
        )
    segmenter, propagator = PARTS[profile]
    return Choice(
        profile,
        device,
        segmenter if settings.segmenter == "auto" else settings.segmenter,
        propagator if settings.propagator == "auto" else settings.propagator,
        settings.embedder,
    )


def _weights(segmenter: str, propagator: str, embedder: str) -> tuple[str, ...]:
    # Parts are called as their checkpoints are, but for those that work on MobileSAM's features, whatever the
    # segmenter is.
    own = {"sam_tokens": "mobile_sam", "sam": "mobile_sam"}
    parts = [own.get(part, part) for part in (segmenter, propagator, embedder) if part != "off"]
    return tuple(dict.fromkeys(parts))


def _is_there(profile: str, embedder: str, directory: Path) -> bool:
    wanting = [name for name in _weights(*PARTS[profile], embedder) if checkpoints.verify(name, directory) != "ok"]
    if wanting:
        logger.info("for the profile %s there are no %s in %s", profile, " and no ".join(wanting), directory)
    return not wanting


def _device(name: str) -> str:
    import torch  # seconds long, and not needed to import this module

    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": torch.xpu.is_available(),
    }
    if name == "auto":
        return next(kind for kind in ("cuda", "xpu", "mps", "cpu") if available[kind])
    kind, _, number = name.partition(":")
    if not available[kind] or (number and int(number) >= torch.cuda.device_count()):
        raise SettingsError(f"KEYTRACK_DEVICE / --device: this machine has no {name}; use cpu or auto")
    return name


def tracker_factory(settings: Settings, choice: Choice) -> Callable[[], Tracker]:
    """Builds the models of a choice; fetches their weights where they are missing."""

    def build() -> Tracker:
        logger.info("loading the models: %s", choice)
        for name in choice.weights:
            if checkpoints.verify(name, settings.weights_dir) != "ok":
                logger.info("the weights %s are not in %s; fetching them", name, settings.weights_dir)
            checkpoints.fetch(name, settings.weights_dir)
        import torch

        from backend.tracking.build import build_tracker

        if settings.threads is not None:
            torch.set_num_threads(settings.threads)  # of the calling thread, which is the worker
        return build_tracker(choice.applied(settings))

    return build


class Engine:
    """The models, each worker's own, built by the first job of that worker that needs them.

    Args:
        factories: build them, one for each worker.
    """

    def __init__(self, *factories: Callable[[], Tracker]) -> None:
        self._factories = list(factories)
        self._trackers: list[Tracker | None] = [None] * len(factories)

    def __len__(self) -> int:
        """How many workers there are."""
        return len(self._factories)

    @property
    def loaded(self) -> bool:
        """Whether the models of any worker are in memory."""
        return any(tracker is not None for tracker in self._trackers)

    def ready(self, worker: int | None) -> Tracker | None:
        """A worker's tracker if it is in memory, for what any thread may ask of it; None of no worker."""
        return None if worker is None else self._trackers[worker]

    def tracker(self, worker: int = 0) -> Tracker:
        """A worker's tracker, for that worker alone; raises what the factory raises, and asks it anew the next time."""
        tracker = self._trackers[worker]
        if tracker is None:
            tracker = self._trackers[worker] = self._factories[worker]()
        return tracker

    def revive(self, worker: int) -> None:
        """Build a worker's models again: those that it had are lost."""
        self._trackers[worker] = None
        self.tracker(worker)


class WarmUp:
    """Loads a worker's models before anybody presses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prepare(self, job: Job) -> None:
        """There is nothing to fetch beside the models."""

    def steps(self, job: Job) -> Iterator[object]:
        """One step."""
        yield self._engine.tracker(job.worker)
