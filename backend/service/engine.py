"""The models behind the service: which ones, on what, and when they are loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from backend import checkpoints
from backend.errors import SettingsError
from backend.service.jobs import Job
from backend.settings import Settings
from backend.tracks import Detection, Direction, FrameResult, Prompt

if TYPE_CHECKING:
    from backend.tracking.lives import Rules
    from backend.video.frames import Frames

logger = logging.getLogger(__name__)

BUILT = ("lite",)  # profiles whose every part is there


class Tracker(Protocol):
    """What :class:`backend.tracking.tracker.VideoTracker` offers."""

    def track(
        self,
        video: Frames,
        prompts: Sequence[Prompt],
        *,
        span: tuple[int, int] | None = None,
        direction: Direction | Mapping[str, Direction] = "both",
        cancelled: Callable[[], bool] = ...,
    ) -> Iterator[FrameResult]:
        """Results as they come, nearest to the prompts first."""

    def track_detections(
        self,
        video: Frames,
        detections: Mapping[int, Sequence[Detection]],
        *,
        rules: Rules = ...,
        cancelled: Callable[[], bool] = ...,
    ) -> Iterator[FrameResult]:
        """A result for every frame, in order, and later ones of earlier frames."""


@dataclass(frozen=True)
class Choice:
    """What the settings come to on this machine."""

    profile: str
    device: str


def choose(settings: Settings) -> Choice:
    """The profile and the device; ``auto`` takes the best that there is. Imports torch.

    Raises:
        SettingsError: this machine does not have the device, or this version not the profile.
    """
    device = _device(settings.device)
    profile = settings.profile
    if profile == "auto":
        profile = "full" if "full" in BUILT and device.startswith("cuda") else "lite"
    if profile not in BUILT:
        raise SettingsError(f"KEYTRACK_PROFILE / --profile: {profile} is not part of this version; use lite or auto")
    return Choice(profile, device)


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
    chosen = settings.model_copy(update={"profile": choice.profile, "device": choice.device})

    def build() -> Tracker:
        for checkpoint in checkpoints.expand([choice.profile]):
            if checkpoints.verify(checkpoint.name, settings.weights_dir) != "ok":
                logger.info("the weights %s are not in %s; fetching them", checkpoint.name, settings.weights_dir)
            checkpoints.fetch(checkpoint.name, settings.weights_dir)
        import torch

        from backend.tracking.build import build_tracker

        if settings.threads is not None:
            torch.set_num_threads(settings.threads)  # of the calling thread, which is the worker
        return build_tracker(chosen)

    return build


class Engine:
    """The models, built by the first job that needs them; only the worker asks."""

    def __init__(self, factory: Callable[[], Tracker]) -> None:
        self._factory = factory
        self._tracker: Tracker | None = None

    @property
    def loaded(self) -> bool:
        """Whether the models are in memory."""
        return self._tracker is not None

    def tracker(self) -> Tracker:
        """The tracker; raises what the factory raises, and asks it again the next time."""
        if self._tracker is None:
            self._tracker = self._factory()
        return self._tracker


class WarmUp:
    """Loads the models before anybody presses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prepare(self, job: Job) -> None:
        """There is nothing to fetch beside the models."""

    def steps(self, job: Job) -> Iterator[object]:
        """One step."""
        yield self._engine.tracker()
