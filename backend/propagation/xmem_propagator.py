"""Propagation by XMem (Cheng and Schwing, ECCV 2022): its network's keys and values in the memory bank.

Every so many frames are remembered. On these the hidden states learn from what is remembered (the deep update), on
the others from what the decoder saw.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from backend.propagation.affinity import AnisotropicKeys, attend
from backend.propagation.contest import contest
from backend.propagation.long_term import Consolidating
from backend.propagation.memory import MemoryBank, known_alike
from backend.propagation.parts import Parts
from backend.propagation.propagator import Propagation
from backend.propagation.prototypes import summarise
from backend.propagation.quality import judge
from backend.propagation.scratch import Scratch
from backend.propagation.xmem import VALUE, XMem, aggregate
from backend.propagation.xmem_blocks import HIDDEN
from backend.propagation.xmem_frames import XMemFrame
from backend.tracks import BoolArray, FloatArray

AT_ONCE = 4
"""Objects that are decoded at once."""

# When an object was remembered that was not: it is due on the next frame.
_LONG_AGO = -(1 << 40)


@dataclass(frozen=True)
class XMemRules:
    """What the network was published with, except that all frames that were given count as the first one did there.

    Args:
        every: at least every so many frames one is remembered.
        top: so many tokens of the memory have part in a readout.
        most: propagated frames in working memory, before they are consolidated
        least: down to so many.
        prototypes: that each consolidation makes.
        limit: of prototypes in long-term memory.
        nearest: so many given frames are read at a time, see :class:`~backend.propagation.memory.MemoryBank`.
    """

    every: int = 5
    top: int = 30
    most: int = 9
    least: int = 4
    prototypes: int = 128
    limit: int = 10_000
    nearest: int = 8

    def new_bank(self) -> MemoryBank[AnisotropicKeys]:
        """An empty memory."""
        keeping = Consolidating(self.most, self.least, self.prototypes, self.limit, summarise)
        return MemoryBank(keeping, nearest=self.nearest)


PUBLISHED = XMemRules()


@dataclass(eq=False)
class _Followed:
    """An object: its hidden state (64, h, w), where it was last (``bool``, None if nowhere) and when remembered."""

    hidden: Tensor
    mask: Tensor | None
    remembered: int


@dataclass(frozen=True, eq=False)
class _Found:
    """One frame's objects: probabilities (O + 1, H, W) of the background and of them, on the padded frame."""

    frame: int
    names: tuple[str, ...]
    probabilities: Tensor
    inside: Tensor

    def of(self, name: str) -> Tensor:
        """(H, W)."""
        return self.probabilities[1 + self.names.index(name)]


class XMemPropagator:
    """Propagates by XMem; see :class:`~backend.propagation.propagator.Propagator`.

    It takes the frames that :class:`~backend.propagation.xmem_frames.FrameEncoder` makes, all of one video.

    Args:
        network: with its weights.
        rules: what is remembered and read.
        parts: how many objects are worked on at once.
        bank: what it remembers already; by default nothing.
        scratch: what memory is read in; its own by default.
    """

    def __init__(
        self,
        network: XMem,
        rules: XMemRules = PUBLISHED,
        parts: Parts | None = None,
        bank: MemoryBank[AnisotropicKeys] | None = None,
        scratch: Scratch | None = None,
    ) -> None:
        self._network = network
        self._rules = rules
        self._parts = Parts(AT_ONCE) if parts is None else parts
        self._bank = rules.new_bank() if bank is None else bank
        self._scratch = Scratch() if scratch is None else scratch
        self._objects: dict[str, _Followed] = {}
        self._found: _Found | None = None
        # What was hidden of the objects before the last step propagated them.
        self._hidden: dict[str, Tensor] = {}

    @property
    def probabilities(self) -> dict[str, Tensor]:
        """What the last step made of each object: float32 (rows, columns) of the frame as it was encoded."""
        if self._found is None:
            return {}
        return dict(zip(self._found.names, self._found.inside[1:], strict=True))

    def fork(self) -> XMemPropagator:
        """Another one that remembers what was given so far and nothing else; it follows no object yet."""
        return XMemPropagator(self._network, self._rules, self._parts, self._bank.fork(), self._scratch)

    def branch(self) -> XMemPropagator:
        """Another one in the same state, to go on by itself."""
        other = XMemPropagator(self._network, self._rules, self._parts, self._bank.branch(), self._scratch)
        other._objects = {name: replace(followed) for name, followed in self._objects.items()}
        other._found, other._hidden = self._found, self._hidden
        return other

    def expect(self, encoding: XMemFrame, regions: Mapping[str, BoolArray]) -> None:
        """Follow objects by memory alone, which knows no places: what is hidden of them was learnt elsewhere."""
        for name, region in regions.items():
            known = self._objects.get(name)
            hidden = encoding.features.key.new_zeros((HIDDEN, *encoding.features.key.shape[-2:]))
            there = encoding.unpad(encoding.mask(region)[None])[0] > 0.5
            self._objects[name] = _Followed(hidden, there, _LONG_AGO if known is None else known.remembered)

    def lose(self) -> None:
        """Follow objects by nothing but memory, which knows no places: what is hidden of them is of the last shot."""
        for followed in self._objects.values():
            followed.hidden, followed.mask = torch.zeros_like(followed.hidden), None

    def deny(self, names: Collection[str]) -> None:
        """Look for objects by memory alone, without what the last step found; their hidden states knew it too."""
        for name in names:
            followed = self._objects[name]
            followed.hidden, followed.mask = torch.zeros_like(followed.hidden), None
            if self._found is not None:
                self._bank.forget_last(self._found.frame, name)

    def exchange(self, one: str, other: str, frames: Collection[int]) -> None:
        """Let two objects go on as each other."""
        self._objects[one], self._objects[other] = self._objects[other], self._objects[one]
        self._bank.exchange(one, other, frames)
        self._found = None  # which is called by the wrong names

    def forget(self, names: Collection[str]) -> None:
        """Drop all that is remembered of objects."""
        for name in names:
            self._bank.forget_object(name)
            self._objects.pop(name, None)

    @torch.inference_mode()
    def step(
        self,
        frame: int,
        encoding: XMemFrame,
        given: Mapping[str, BoolArray],
        wanted: Collection[str],
        claims: FloatArray | None = None,
    ) -> dict[str, Propagation]:
        """Take in one frame; see :class:`~backend.propagation.propagator.Propagator`.

        An object that is given and wanted and was known before is propagated too, and takes part in the competition
        of the others, before what was given replaces it.

        Raises:
            KeyError: an object is wanted that was never given.
        """
        known = [name for name in wanted if name in self._objects or name not in given]
        due = bool(given) or any(abs(frame - self._objects[name].remembered) >= self._rules.every for name in known)
        self._hidden = {name: self._objects[name].hidden for name in known}
        keys = _keys(encoding)
        alone = self._predict(frame, encoding, keys, known, update=not due)
        masks = {name: encoding.mask(mask) for name, mask in given.items()}
        competing = alone
        if claims is not None:
            claimed = encoding.map(claims)
            competing = {name: contest(one, claimed) for name, one in alone.items()}
        found = self._combine(frame, encoding, competing, masks)
        if due:
            self._remember(found, encoding, keys, [*masks, *(name for name in known if name not in masks)], masks)
        self._found = found
        return self._report(encoding, found, alone, list(wanted))

    @torch.inference_mode()
    def amend(self, frame: int, encoding: XMemFrame, masks: Mapping[str, BoolArray]) -> None:
        """Believe other masks of objects on the frame of the last step, and remember the frame."""
        for name in masks:
            # The deep update starts from where it would have without the masks that are no longer believed.
            self._objects[name].hidden = self._hidden[name]
        found = self._combine(frame, encoding, {}, {name: encoding.mask(mask) for name, mask in masks.items()})
        self._remember(found, encoding, _keys(encoding), list(masks), ())
        self._found = found
        self._report(encoding, found, {}, ())

    def _predict(
        self, frame: int, encoding: XMemFrame, keys: AnisotropicKeys, names: Sequence[str], *, update: bool
    ) -> dict[str, Tensor]:
        """The probabilities (H, W) of objects, each by itself."""
        readouts = self._read(frame, keys, names)
        h, w = encoding.features.key.shape[-2:]
        found: dict[str, Tensor] = {}

        def decode(part: slice) -> None:
            members = names[part]
            # (O, 512, h, w), channels last.
            readout = torch.stack([readouts[name] for name in members]).view(-1, h, w, VALUE).permute(0, 3, 1, 2)
            hidden = torch.stack([self._objects[name].hidden for name in members])
            logits, new = self._network.decode(encoding.features, readout, hidden, update=update)
            found.update(zip(members, torch.sigmoid(logits), strict=True))
            if new is not None:
                for name, state in zip(members, new, strict=True):
                    self._objects[name].hidden = state

        self._parts.each(len(names), decode)
        return found

    def _read(self, frame: int, keys: AnisotropicKeys, names: Sequence[str]) -> dict[str, Tensor]:
        """What the memory says of objects: (h * w, 512) each.

        The use of a frame's tokens is counted once, by those of its objects that know most of the memory.
        """
        said: dict[str, Tensor] = {}
        counted: set[int] = set()
        queries = keys.queries()
        groups = known_alike(list(self._bank.read(frame)), names)
        for known, members in sorted(groups, key=lambda group: -sum(len(one.keys) for one in group[0])):
            affinity = attend(queries, self._scratch.join([one.keys.rows for one in known]), self._rules.top)
            for one, usage in zip(known, affinity.usage().split([len(one.keys) for one in known]), strict=True):
                if not one.permanent and id(one) not in counted:
                    one.count(usage)
                    counted.add(id(one))
            for name in members:
                said[name] = affinity.read(self._scratch.join([one.values[name] for one in known]))
        return said

    def _combine(
        self, frame: int, encoding: XMemFrame, alone: Mapping[str, Tensor], masks: Mapping[str, Tensor]
    ) -> _Found:
        """The frame's objects in competition: those predicted, those given, and those found here before."""
        names = tuple(alone)
        probabilities = aggregate(_stack(alone, encoding))
        before = self._found if self._found is not None and self._found.frame == frame else None
        if masks or before is not None:
            merged = {} if before is None else {name: before.of(name) for name in before.names if name in self._objects}
            merged |= dict(zip(names, probabilities[1:], strict=True))
            if masks:
                taken = (_stack(masks, encoding) > 0.5).any(0)
                merged = {name: one.masked_fill(taken, 0) for name, one in merged.items()} | dict(masks)
            names = tuple(merged)
            probabilities = aggregate(_stack(merged, encoding))
        return _Found(frame, names, probabilities, encoding.unpad(probabilities))

    def _remember(
        self,
        found: _Found,
        encoding: XMemFrame,
        keys: AnisotropicKeys,
        names: Sequence[str],
        given: Collection[str],
    ) -> None:
        total = found.probabilities[1:].sum(0)
        blank = keys.key.new_zeros((HIDDEN, *encoding.features.key.shape[-2:]))
        values: dict[str, Tensor] = {}

        def memorise(part: slice) -> None:
            members = names[part]
            masks = torch.stack([found.of(name) for name in members])
            hidden = torch.stack([self._objects[name].hidden if name in self._objects else blank for name in members])
            value, new = self._network.memorise(encoding.features, masks, total - masks, hidden)
            for name, one, state in zip(members, value, new, strict=True):
                values[name] = one.flatten(1).T.contiguous()
                followed = self._objects.setdefault(name, _Followed(state, None, found.frame))
                followed.hidden, followed.remembered = state, found.frame

        self._parts.each(len(names), memorise)
        if given:
            self._bank.write(found.frame, keys, {name: values[name] for name in given}, permanent=True)
        propagated = {name: value for name, value in values.items() if name not in given}
        if propagated:
            self._bank.rewrite(found.frame, keys, propagated)

    def _report(
        self, encoding: XMemFrame, found: _Found, alone: Mapping[str, Tensor], wanted: Sequence[str]
    ) -> dict[str, Propagation]:
        inside = dict(zip(found.names, found.inside[1:], strict=True))
        nowhere = torch.zeros_like(found.inside[0], dtype=torch.bool)
        before = {}
        for name in found.names:
            if name in self._objects:
                mask = self._objects[name].mask
                before[name] = nowhere if mask is None else mask
                self._objects[name].mask = inside[name] > 0.5
        if not wanted:
            return {}
        labels = encoding.labels(found.inside).cpu().numpy()
        qualities = judge(
            torch.stack([inside[name] for name in wanted]),
            encoding.unpad(torch.stack([alone[name] if name in alone else found.of(name) for name in wanted])),
            torch.stack([before[name] for name in wanted]),
        )
        propagations = {}
        for name, quality in zip(wanted, qualities, strict=True):
            mask = labels == 1 + found.names.index(name)
            if mask.any():
                propagations[name] = Propagation(mask, quality.score, quality)
            else:
                propagations[name] = Propagation(None, 1 - quality.peak, quality)
        return propagations


def _keys(encoding: XMemFrame) -> AnisotropicKeys:
    features = encoding.features
    key, shrinkage, selection = (
        one[0].flatten(1).T.contiguous() for one in (features.key, features.shrinkage, features.selection)
    )
    return AnisotropicKeys.of(key, shrinkage[:, 0], selection)


def _stack(maps: Mapping[str, Tensor], encoding: XMemFrame) -> Tensor:
    """(O, H, W), also of none."""
    if maps:
        return torch.stack(list(maps.values()))
    return torch.zeros((0, *encoding.features.image.shape[-2:]), device=encoding.features.image.device)
