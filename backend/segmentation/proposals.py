"""Masks of everything in a frame that looks like an object, without any prompt.

A grid of points is asked, from coarse to fine, and only where nothing was found yet; what comes back is filtered as by
SAM's automatic mask generator (Kirillov et al., ICCV 2023, section 5 and appendix B): by predicted IoU, by stability
and for duplicates. Then come rules of our own, for what an annotator would mark: wholes instead of their parts, and no
background. Until it is known what remains, all of that happens on SAM's low-resolution grid, whatever the frame's size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.segmentation.segmenter import CELLS, Encoding, MaskPrompt, Segmenter
from backend.segmentation.tiny_vit import STRIDE
from backend.tracks import BoolArray, Mask, Point

Halves = npt.NDArray[np.float16]

# Points asked at a time: more make a CPU's decoder slower, not faster, and less of them could be spared.
_BATCH = 8
# Every 4th point of each row and column comes first, then every 2nd, then all.
_LEVELS = (4, 2, 1)
# What is remembered while it is not known yet what remains: so many masks, none of them so like another one (IoU).
_HELD = 150
_SAME = 0.9


@dataclass(frozen=True)
class ProposalRules:
    """What is proposed.

    Attributes:
        points: of the grid, along the frame's longer side;
        asked: so many of all are asked at most, evenly spread, where nothing good is found.
        iou: the least predicted IoU.
        stability: the least IoU of the masks at logits of 1 and -1.
        smallest: the least part of the frame.
        largest: the greatest; what is larger is background.
        border: so is what has more of its box's outline than this at the frame's border, or spans the frame,
        corner: and what is larger than this and meets two of the frame's sides.
        within: what lies in another mask by more than this part, and
        half: is not more than this of it in size, is its part, and dropped,
        margin: if the whole's quality is not worse by more than this.
        own: the least part of a mask that no better ones have.
        main: the least part of a mask that is connected; what is scattered more is texture.
        speck: connected parts below this part of the mask are dropped, and holes filled.
        larger: what the natural logarithm of a mask's part of the frame counts for, beside its quality, in the order.
        most: proposals.
    """

    points: int = 24
    asked: int = 1000
    iou: float = 0.8
    stability: float = 0.75
    smallest: float = 0.001
    largest: float = 0.5
    border: float = 0.3
    corner: float = 0.15
    within: float = 0.9
    half: float = 0.6
    margin: float = 0.15
    own: float = 0.5
    main: float = 0.5
    speck: float = 0.02
    larger: float = 0.05
    most: int = 30


DEFAULT_PROPOSALS = ProposalRules()


@dataclass(frozen=True, eq=False)
class Proposal:
    """A ``mask`` of the frame's size; ``score`` is predicted IoU times stability, at most 1."""

    mask: Mask
    score: float


@dataclass(frozen=True, eq=False)
class _Candidate:
    """Logits of the whole grid, the mask of the picture in it, whether it is background, and the best answer of its
    point, quality, and rank among all."""

    logits: Halves
    mask: BoolArray
    background: bool
    best: bool
    quality: float
    rank: float


def propose(
    segmenter: Segmenter, encoding: Encoding, known: BoolArray | None = None, rules: ProposalRules = DEFAULT_PROPOSALS
) -> list[Proposal]:
    """Propose objects.

    Args:
        segmenter: whose encoding it is.
        encoding: the frame.
        known: ``bool (H, W)``, where there is nothing new: no point is asked there, and what lies there by more than
            half is not proposed.
        rules: what is proposed.

    Returns:
        proposals, the best first, which do not overlap.
    """
    rows, columns = (-(-side * CELLS // STRIDE) for side in encoding.scaled)
    taken = np.zeros((rows, columns), bool)
    if known is not None:
        taken = cv2.resize(known.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_AREA) > 0
    found: list[_Candidate] = []
    objects, backgrounds = taken.copy(), np.zeros_like(taken)
    budget = rules.asked
    for level, points in zip(_LEVELS, _grid(encoding.size, rules.points), strict=True):
        left = _spread([point for point in points if not _at(objects, point, encoding.size)], budget)
        while True:
            # What stands before a background may be swallowed by it: there the coarse level is asked in any case.
            covered = objects if level == _LEVELS[0] else objects | backgrounds
            left = [point for point in left if not _at(covered, point, encoding.size)]
            if not left:
                break
            asked, left = left[:_BATCH], left[_BATCH:]
            budget -= len(asked)
            new = _candidates(segmenter, encoding, asked, taken, rules)
            for one in new:
                if not one.background:
                    objects |= one.mask
                elif one.best:  # the others are more likely to swallow something
                    backgrounds |= one.mask
            found = _distinct(found + new)[:_HELD]
    kept = _apart(_wholes([one for one in found if not one.background], rules), rules.own)[: rules.most]
    return list(_proposals(segmenter, encoding, kept, rules))


def main_part(mask: BoolArray) -> float:
    """The part of a mask ``bool (H, W)``, which is not empty, that its largest connected part is."""
    _, _, parts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return float(parts[1:, cv2.CC_STAT_AREA].max() / mask.sum())


def _grid(size: tuple[int, int], along: int) -> Iterator[list[Point]]:
    """The points of the grid, a list a level; each point once."""
    height, width = size
    step = max(size) / along
    rows, columns = max(round(height / step), 1), max(round(width / step), 1)
    done: set[tuple[int, int]] = set()
    for level in _LEVELS:
        cells = [
            (row, column)
            for row in range(min(level // 2, rows - 1), rows, level)
            for column in range(min(level // 2, columns - 1), columns, level)
            if (row, column) not in done
        ]
        done.update(cells)
        yield [Point((column + 0.5) * width / columns, (row + 0.5) * height / rows) for row, column in cells]


def _spread(points: list[Point], most: int) -> list[Point]:
    """So many of them at most, from all over the frame."""
    return points[:: -(-len(points) // most)] if points and most > 0 else []


def _at(mask: BoolArray, point: Point, size: tuple[int, int]) -> bool:
    row, column = int(point.y * mask.shape[0] / size[0]), int(point.x * mask.shape[1] / size[1])
    return bool(mask[row, column])


def _candidates(
    segmenter: Segmenter, encoding: Encoding, points: Sequence[Point], taken: BoolArray, rules: ProposalRules
) -> list[_Candidate]:
    """What is at some points, where it is good enough, of a fitting size and new."""
    answer = segmenter.segment(encoding, [MaskPrompt(points=(point,)) for point in points])
    logits, iou = answer.logits.flatten(0, 1), answer.iou.flatten()
    rows, columns = taken.shape
    picture = logits[:, :rows, :columns]
    stability = _count(picture > 1) / _count(picture > -1).clamp(min=1)
    share = _count(picture > 0) / (rows * columns)
    good = (iou >= rules.iou) & (stability >= rules.stability) & (share >= rules.smallest)
    found = []
    best = (iou * stability * good).reshape(answer.iou.shape).argmax(1)
    for index in torch.nonzero(good).flatten().tolist():
        mask = (picture[index] > 0).cpu().numpy()
        if (mask & taken).sum() > 0.5 * mask.sum():
            continue
        quality = min(float(iou[index]), 1.0) * float(stability[index])
        part, (point, place) = float(share[index]), divmod(index, answer.iou.shape[1])
        found.append(
            _Candidate(
                logits[index].half().cpu().numpy(),
                mask,
                part > rules.largest or _is_background(mask, rules),
                int(best[point]) == place,
                quality,
                quality + rules.larger * float(np.log(part)),
            )
        )
    return found


def _count(masks: Tensor) -> Tensor:
    return masks.sum((1, 2)).float()


def _is_background(mask: BoolArray, rules: ProposalRules) -> bool:
    """Whether a mask is background by how it meets the frame's border."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    if height == mask.shape[0] or width == mask.shape[1]:
        return True
    met = [int(edge.sum()) for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])]
    if np.count_nonzero(met) > 1 and mask.mean() > rules.corner:
        return True
    return bool(sum(met) > rules.border * 2 * (height + width))


def _distinct(found: Iterable[_Candidate]) -> list[_Candidate]:
    """The best first, without those that are all but the same as a better one."""
    kept: list[_Candidate] = []
    for one in sorted(found, key=lambda one: -one.rank):
        if all((one.mask & other.mask).sum() <= _SAME * (one.mask | other.mask).sum() for other in kept):
            kept.append(one)
    return kept


def _wholes(found: Sequence[_Candidate], rules: ProposalRules) -> list[_Candidate]:
    """Those that are no part of another one that is about as good, in their order."""
    kept: list[_Candidate] = []
    areas = [int(one.mask.sum()) for one in found]
    for one, area in zip(found, areas, strict=True):
        if not any(
            rules.half * size >= area
            and whole.quality >= one.quality - rules.margin
            and (one.mask & whole.mask).sum() > rules.within * area
            for whole, size in zip(found, areas, strict=True)
        ):
            kept.append(one)
    return kept


def _apart(found: Sequence[_Candidate], own: float) -> list[_Candidate]:
    """Those of which enough is left beside the better ones, which come first."""
    kept: list[_Candidate] = []
    for one in found:
        others = np.any([other.mask for other in kept], axis=0) if kept else np.zeros_like(one.mask)
        if (one.mask & ~others).sum() >= own * one.mask.sum():
            kept.append(one)
    return kept


def _proposals(
    segmenter: Segmenter, encoding: Encoding, found: Iterable[_Candidate], rules: ProposalRules
) -> Iterator[Proposal]:
    others = np.zeros(encoding.size, bool)
    # One after the other: a single mask of a 4K frame takes 33 MB before it is one.
    for one in found:
        logits = torch.from_numpy(one.logits).float().to(encoding.embedding.device)
        mask = (segmenter.full_size(logits[None], encoding)[0] > 0).cpu().numpy()
        tidy = _tidy(mask, others, rules.speck)
        if tidy.any() and main_part(tidy) >= rules.main:
            yield Proposal(Mask.from_array(tidy), one.quality)
        others |= tidy


def _tidy(mask: BoolArray, others: BoolArray, speck: float) -> BoolArray:
    """A mask without small parts, small holes and what others have."""
    least = speck * int(mask.sum())
    return ~_without_small(~_without_small(mask & ~others, least), least) & ~others


def _without_small(mask: BoolArray, least: float) -> BoolArray:
    _, labels, parts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    kept = parts[:, cv2.CC_STAT_AREA] >= least
    kept[0] = False  # what is outside
    return np.asarray(kept[labels], bool)
