"""Propagation without further weights: SAM's tokens as memory, SAM's decoder as judge of boundaries.

A readout of the memory says where the object is; the segmenter, asked with it, says where it ends. What the segmenter
got wrong on remembered frames it gets wrong again, in the same places: so the memory holds its masks beside the true
ones, and what is read of the difference corrects its mask on this frame.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.propagation.connected import continued, strongest
from backend.propagation.contest import contest
from backend.propagation.cues import Answer, ask, cover, coverage, in_pixels, on_grid
from backend.propagation.memory import MemoryBank, Rolling, known_alike
from backend.propagation.propagator import Decoder, Encoded, Propagation
from backend.propagation.quality import Quality, judge
from backend.propagation.reading import read_memory
from backend.propagation.token_keys import TokenKeys, make_keys, nest_values, unnest_values
from backend.tracks import BoolArray, FloatArray

# The last so many propagated frames are remembered in any case.
RECENT = 3
# What a squared distance of tokens takes off a similarity: on the frames just before, on older ones, on given ones.
NEAR = 2.0**-8
OLD = 2.0**-11
GIVEN = 2.0**-12
# Tokens around an object that are searched and remembered: 12 of 16 pixels, of a frame 1024 wide.
REACH = 12
# Every new shape costs the matrix product a kernel of its own, in time and in memory.
STEP = 4
# The part of SAM's corrected mask in the result, where the readout is wholly undecided.
TRUST = 0.7
# Below this overlap with the readout SAM speaks of something else.
AGREES = 0.5
# An object is lost where it is neither certain nor confirmed; found where it is both.
LOST = (0.45, 0.5)
FOUND = (0.5, 0.6)
# And lost where less than this part of what was given last is left of it.
LEFT = 0.01
# Frames that are less certain are not remembered.
REMEMBERED = 0.45


@dataclass(eq=False)
class _Followed:
    """Where an object was last seen: probabilities (4 rows, 4 columns), and whether it is there still.

    ``area`` is the number of cells that it had when it was given.
    """

    probability: Tensor
    area: int
    lost: bool = False


@dataclass(frozen=True, eq=False)
class _Finding:
    probability: Tensor
    segmented: Tensor
    certainty: float
    agreement: float

    @property
    def reliable(self) -> bool:
        """Whether later frames may learn from it."""
        return self.certainty >= REMEMBERED and self.agreement >= AGREES

    @property
    def score(self) -> float:
        """Confidence, 0 to 1."""
        return float(np.sqrt(self.certainty * self.agreement))


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the last step found."""

    frame: int
    encoding: Encoded
    keys: TokenKeys
    findings: Mapping[str, _Finding]


class SamTokenPropagator:
    """Propagates by SAM's tokens; see :class:`~backend.propagation.propagator.Propagator`.

    Args:
        decoder: the segmenter that made the encodings.
        dtype: of the keys; bfloat16 where the device is faster with it.
        bank: what it remembers already, and by which rules; by default nothing.
    """

    def __init__(self, decoder: Decoder, dtype: torch.dtype, bank: MemoryBank[TokenKeys] | None = None) -> None:
        self._decoder = decoder
        self._dtype = dtype
        self._bank: MemoryBank[TokenKeys] = MemoryBank(Rolling(RECENT)) if bank is None else bank
        self._objects: dict[str, _Followed] = {}
        self._seen: _Seen | None = None

    @property
    def probabilities(self) -> dict[str, Tensor]:
        """What the last step made of each object that it found: float32 (rows, columns) of the scaled frame."""
        if self._seen is None:
            return {}
        return {name: in_pixels(one.probability, self._seen.encoding) for name, one in self._seen.findings.items()}

    def fork(self) -> SamTokenPropagator:
        """Another one that remembers what was given so far and nothing else; it follows no object yet."""
        return SamTokenPropagator(self._decoder, self._dtype, self._bank.fork())

    def branch(self) -> SamTokenPropagator:
        """Another one in the same state, to go on by itself."""
        other = SamTokenPropagator(self._decoder, self._dtype, self._bank.branch())
        other._objects = {name: replace(followed) for name, followed in self._objects.items()}
        other._seen = self._seen
        return other

    def expect(self, encoding: Encoded, regions: Mapping[str, BoolArray]) -> None:
        """Follow objects from places."""
        for name, region in regions.items():
            there = coverage(region, encoding)
            known = self._objects.get(name)
            self._objects[name] = _Followed(there, _area(there) if known is None else known.area)

    def lose(self) -> None:
        """Look for every object anew."""
        for followed in self._objects.values():
            followed.lost = True

    def deny(self, names: Collection[str]) -> None:
        """Look for objects anew, without what the last step found."""
        for name in names:
            self._objects[name].lost = True
            if self._seen is not None:
                self._bank.forget_last(self._seen.frame, name)

    def exchange(self, one: str, other: str, frames: Collection[int]) -> None:
        """Let two objects go on as each other."""
        first, second = self._objects[one], self._objects[other]
        self._objects[one] = replace(second, area=first.area)
        self._objects[other] = replace(first, area=second.area)
        self._bank.exchange(one, other, frames)
        self._seen = None  # which is called by the wrong names

    def forget(self, names: Collection[str]) -> None:
        """Drop all that is remembered of objects."""
        for name in names:
            self._bank.forget_object(name)
            self._objects.pop(name, None)

    @torch.inference_mode()
    def step(
        self,
        frame: int,
        encoding: Encoded,
        given: Mapping[str, BoolArray],
        wanted: Collection[str],
        claims: FloatArray | None = None,
    ) -> dict[str, Propagation]:
        """Take in one frame; see :class:`~backend.propagation.propagator.Propagator`.

        Raises:
            KeyError: an object is wanted that was never given.
        """
        keys = make_keys(encoding, self._dtype)
        if given:
            self._take(frame, encoding, keys, given)
        following = [name for name in wanted if not self._objects[name].lost]
        lost = [name for name in wanted if self._objects[name].lost]
        claimed = None if claims is None else cover(claims, encoding)
        findings = self._find(frame, encoding, keys, following, claimed, search=False)
        findings |= self._find(frame, encoding, keys, lost, claimed, search=True)
        before = {name: self._objects[name].probability for name in following}
        for name, finding in findings.items():
            followed = self._objects[name]
            if followed.lost:
                followed.lost = not (finding.certainty >= FOUND[0] and finding.agreement >= FOUND[1])
            else:
                followed.lost = finding.certainty < LOST[0] and finding.agreement < LOST[1]
            followed.lost |= _area(finding.probability) < LEFT * followed.area
            if not followed.lost:
                followed.probability = finding.probability
        seen = {name: finding for name, finding in findings.items() if not self._objects[name].lost}
        self._remember(frame, keys, {name: finding for name, finding in seen.items() if finding.reliable})
        self._seen = _Seen(frame, encoding, keys, seen)
        found = {name: finding.probability for name, finding in seen.items()}
        masks, qualities = self._masks(found, encoding), _judge(found, before)
        return {
            name: Propagation(masks[name], findings[name].score, qualities[name])
            if name in seen
            else Propagation(None, 1 - findings[name].score)
            for name in wanted
        }

    @torch.inference_mode()
    def amend(self, frame: int, encoding: Encoded, masks: Mapping[str, BoolArray]) -> None:
        """Believe other masks of objects on the frame of the last step, and remember the frame.

        What SAM made of the objects there stays: the difference to the masks is its error.
        """
        if self._seen is None or not masks.keys() <= self._seen.findings.keys():
            raise KeyError(f"the last step did not find all of {', '.join(masks)}")
        findings = dict(self._seen.findings)
        for name, mask in masks.items():
            # Certain and agreed upon, so that later frames may learn from it.
            findings[name] = replace(findings[name], probability=coverage(mask, encoding), certainty=1.0, agreement=1.0)
            self._objects[name].probability = findings[name].probability
        self._seen = replace(self._seen, findings=findings)
        reliable = {name: one for name, one in findings.items() if one.reliable}
        self._bank.rewrite(frame, *self._memory(self._seen.keys, reliable))

    def _take(self, frame: int, encoding: Encoded, keys: TokenKeys, given: Mapping[str, BoolArray]) -> None:
        truths = [coverage(mask, encoding) for mask in given.values()]
        answers = ask(self._decoder, encoding, truths)
        values = {}
        for name, truth, answer in zip(given, truths, answers, strict=True):
            values[name] = _values(truth, answer.probability if answer else truth, keys)
            self._objects[name] = _Followed(truth, _area(truth))
        self._bank.write(frame, keys, values, permanent=True)

    def _find(
        self,
        frame: int,
        encoding: Encoded,
        keys: TokenKeys,
        names: Sequence[str],
        claimed: Tensor | None,
        *,
        search: bool,
    ) -> dict[str, _Finding]:
        if not names:
            return {}
        readouts = self._read(frame, keys, names, search=search)
        if claimed is not None:
            # Before SAM is asked, which would go on to where the neighbour ends.
            readouts = torch.stack([contest(readouts[:, 0], claimed), readouts[:, 1]], 1)
        kept = [
            strongest(said) if search else continued(said, self._objects[name].probability, self._objects[name].area)
            for name, said in zip(names, readouts[:, 0], strict=True)
        ]
        readouts = readouts * torch.stack(kept)[:, None]
        answers = ask(self._decoder, encoding, [readout[0] for readout in readouts])
        return {
            name: _combine(readout[0], readout[1], answer)
            for name, readout, answer in zip(names, readouts, answers, strict=True)
        }

    def _read(self, frame: int, keys: TokenKeys, names: Sequence[str], *, search: bool) -> Tensor:
        """(O, 2, 4 rows, 4 columns): what the memory says of the objects, and of SAM's masks of them."""
        if not search:
            keys = keys.take(self._around([self._objects[name].probability for name in names], keys.shape))
        found: dict[str, Tensor] = {}
        for known, members in known_alike(list(self._bank.read(frame)), names):
            priors = [GIVEN if search else self._prior(abs(frame - one.frame), one.permanent) for one in known]
            values = torch.stack([torch.cat([one.values[name] for one in known]) for name in members])
            said = read_memory(keys, [one.keys for one in known], priors, values)
            for name, row in zip(members, said, strict=True):
                found[name] = unnest_values(row, keys.index, keys.shape)
        return torch.stack([found[name] for name in names])

    def _prior(self, age: int, permanent: bool) -> float:
        if age <= RECENT:
            return NEAR
        return GIVEN if permanent else OLD

    def _remember(self, frame: int, keys: TokenKeys, findings: Mapping[str, _Finding]) -> None:
        if findings:
            self._bank.write(frame, *self._memory(keys, findings))

    def _memory(self, keys: TokenKeys, findings: Mapping[str, _Finding]) -> tuple[TokenKeys, dict[str, Tensor]]:
        """What is to be remembered: the tokens around objects, and their values."""
        chosen = keys.take(self._around([finding.probability for finding in findings.values()], keys.shape))
        return chosen, {
            name: _values(one.probability, one.segmented, keys)[chosen.index] for name, one in findings.items()
        }

    def _around(self, probabilities: Sequence[Tensor], shape: tuple[int, int]) -> Tensor:
        """``bool`` (rows, columns): the tokens of each object's box and some around it; all for one without a box."""
        near = torch.zeros(shape, dtype=torch.bool, device=probabilities[0].device)
        for probability in probabilities:
            tokens = functional.max_pool2d(probability[None, None], 4)[0, 0] > 0.3
            if not bool(tokens.any()):
                return torch.ones_like(near)
            rows, columns = tokens.any(1).nonzero()[:, 0], tokens.any(0).nonzero()[:, 0]
            near[_widened(rows), _widened(columns)] = True
        return near

    def _masks(self, probabilities: Mapping[str, Tensor], encoding: Encoded) -> dict[str, BoolArray | None]:
        """Masks of the frame, no two of which overlap; None for an object of which nothing is left."""
        if not probabilities:
            return {}
        stacked = torch.stack(list(probabilities.values()))
        masks: dict[str, BoolArray | None] = {}
        for row, name in enumerate(probabilities):
            rivals = torch.cat([stacked[:row], stacked[row + 1 :], torch.full_like(stacked[:1], 0.5)])
            lead = on_grid(stacked[row] - rivals.amax(0), encoding, -0.5)
            mask = (self._decoder.full_size(lead[None], encoding)[0] > 0).cpu().numpy()
            masks[name] = mask if mask.any() else None
        return masks


def _judge(found: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, Quality]:
    """The quality of probabilities; ``before`` has those of the frame before, of objects that were there."""
    if not found:
        return {}
    alone = torch.stack(list(found.values()))
    shared = alone / alone.sum(0).clamp(min=1)
    earlier = torch.stack([before.get(name, torch.zeros_like(one)) > 0.5 for name, one in found.items()])
    return dict(zip(found, judge(shared, alone, earlier), strict=True))


def _widened(taken: Tensor) -> slice:
    """From the first to the last of ascending numbers and :data:`REACH` beyond, in steps that keep shapes few."""
    first, last = int(taken[0]) - REACH, int(taken[-1]) + REACH + 1
    return slice(max(0, first // STEP * STEP), -(-last // STEP) * STEP)


def _area(probability: Tensor) -> int:
    """The cells that an object has more than half of."""
    return int((probability > 0.5).sum())


def _values(probability: Tensor, segmented: Tensor, keys: TokenKeys) -> Tensor:
    return nest_values(torch.stack([probability, segmented]), *keys.shape)


def _combine(readout: Tensor, expected: Tensor, answer: Answer | None) -> _Finding:
    """Put the readout and SAM's mask together; ``expected`` is what the memory says SAM's mask would be."""
    if answer is None:
        return _Finding(readout, readout, 0.0, 0.0)
    decided = (2 * readout - 1).abs()
    touched = readout > 0.05
    certainty = float(decided[touched].mean()) if bool(touched.any()) else 0.0
    if answer.agreement < AGREES:
        return _Finding(readout, readout, certainty, answer.agreement)
    corrected = (answer.probability + readout - expected).clamp(0, 1)
    share = TRUST * (1 - decided)
    return _Finding(share * corrected + (1 - share) * readout, answer.probability, certainty, answer.agreement)
