"""How much faster XMem's fast form is than its plain one: both in one process, in turns, on the same frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from backend.evaluation.benchmark import waiter
from backend.evaluation.benchmark_report import Figure
from backend.evaluation.moving_scene import MovingScene
from backend.evaluation.xmem_forms_report import PLAIN, FormsCase, FormTimes
from backend.evaluation.xmem_reference import ReferenceState, ReferenceXMem, Tokens
from backend.propagation.affinity import AnisotropicKeys
from backend.propagation.xmem import STRIDE, XMem, load_xmem
from backend.propagation.xmem_frames import FrameEncoder
from backend.propagation.xmem_propagator import XMemPropagator, XMemRules
from backend.propagation.xmem_static import Mode, StaticXMem
from backend.tracks import BoolArray, ImageArray

SIZE = 854, 480
"""Width and height of the frames."""
EVERY = 5
"""One frame of so many is remembered."""
REMEMBERED = 10
"""Frames in memory, that of the masks included: 16,200 tokens."""


@dataclass(frozen=True, eq=False)
class Form:
    """One way to do a frame that is not remembered, and one that is; each call does the same again."""

    passing: Callable[[], object]
    remembered: Callable[[], object]


@dataclass(frozen=True, eq=False)
class Forms:
    """The forms of one network.

    Args:
        plain: as the paper writes it.
        fast: by name; the frames of all are encoded as the first one's are.
    """

    plain: ReferenceXMem
    fast: Mapping[str, XMem]

    @classmethod
    def of(
        cls,
        state: Mapping[str, Tensor],
        device: torch.device | str,
        dtypes: Sequence[torch.dtype],
        modes: Sequence[Mode] = (),
    ) -> Forms:
        """With a checkpoint's tensors: a fast form for each of ``dtypes``, of the last of them in ``modes`` too."""
        fast = {str(dtype).removeprefix("torch."): load_xmem(state, device, dtype) for dtype in dtypes}
        last, network = list(fast.items())[-1]
        fast |= {f"{last}, {mode}": StaticXMem(network, mode) for mode in modes}
        return cls(ReferenceXMem.of(state, device), fast)

    def measure(self, objects: int, repeats: int, *, warm_up: bool, size: tuple[int, int] = SIZE) -> FormsCase:
        """Time each form ``repeats`` times, in turns, after one turn that does not count if asked for.

        What the frames show has no part in it: the times depend on sizes alone. ``size`` is (width, height).
        """
        image, given = drawn(objects, *size)
        wait = waiter(next(iter(self.fast.values())).device)
        forms = {
            PLAIN: self._plain(image, given),
            **{name: fast_form(one, image, given) for name, one in self.fast.items()},
        }
        times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in forms}
        for turn in range(-1 if warm_up else 0, repeats):
            for name, form in forms.items():
                seconds = _seconds(form.passing, wait), _seconds(form.remembered, wait)
                if turn >= 0:
                    for kept, value in zip(times[name], seconds, strict=True):
                        kept.append(value)
        found = {
            name: FormTimes(passing=_figure(one), remembered=_figure(other)) for name, (one, other) in times.items()
        }
        return FormsCase(
            objects=objects,
            tokens=REMEMBERED * (-(-size[0] // STRIDE)) * (-(-size[1] // STRIDE)),
            width=size[0],
            height=size[1],
            every=EVERY,
            forms=found,
        )

    def _plain(self, image: ImageArray, given: Mapping[str, BoolArray]) -> Form:
        first = next(iter(self.fast.values()))
        frame = FrameEncoder(first).encode(image)
        pixels = frame.features.image.float().contiguous()
        masks = torch.stack([frame.mask(mask) for mask in given.values()])
        return plain_form(self.plain, pixels, masks)


def plain_form(network: ReferenceXMem, image: Tensor, masks: Tensor) -> Form:
    """The plain form, with a full memory; image (1, 3, H, W), masks (O, H, W)."""
    with torch.inference_mode():
        state = ReferenceState.start(network, image, masks, EVERY)
        one = state.memory
        memory = one
        for _ in range(REMEMBERED - 1):
            memory = memory + Tokens(_near(one.key), one.shrinkage, torch.randn_like(one.value))
    state = replace(state, memory=memory)
    due = replace(state, frame=EVERY - 1)
    return Form(lambda: state.step(image), lambda: due.step(image))


def fast_form(network: XMem, image: ImageArray, given: Mapping[str, BoolArray]) -> Form:
    """The form that tracks are made with, with a full memory: from the image's bytes to the masks."""
    encoder = FrameEncoder(network)
    rules = XMemRules(every=EVERY, most=2 * REMEMBERED)
    bank = rules.new_bank()
    propagator = XMemPropagator(network, rules, bank=bank)
    propagator.step(0, encoder.encode(image), given, [])
    (first,) = bank.read(0)
    with torch.inference_mode():
        for frame in range(1, REMEMBERED):
            keys = AnisotropicKeys.of(_near(first.keys.key), first.keys.shrinkage, first.keys.selection)
            bank.write(frame, keys, {name: torch.randn_like(value) for name, value in first.values.items()})
    names = list(given)

    def step(frame: int) -> object:
        return propagator.branch().step(frame, encoder.encode(image), {}, names)

    return Form(lambda: step(1), lambda: step(EVERY))


def drawn(objects: int, width: int, height: int) -> tuple[ImageArray, dict[str, BoolArray]]:
    """An image of noise, and a mask for each of some objects in it."""
    scene = MovingScene(objects, width, height, 1)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    given: dict[str, BoolArray] = {}
    for number, name in enumerate(scene.names()):
        x0, y0, x1, y1 = (round(edge) for edge in scene.box(number, 0))
        given[name] = np.zeros((height, width), bool)
        given[name][y0:y1, x0:x1] = True
    return image, given


def _near(key: Tensor) -> Tensor:
    return key + 0.1 * key.std() * torch.randn_like(key)


def _seconds(work: Callable[[], object], wait: Callable[[], None]) -> float:
    wait()
    started = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - started


def _figure(seconds: Sequence[float]) -> Figure:
    return Figure(values=tuple(round(value, 4) for value in seconds))
