from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.segmentation.segmenter import Encoding, MaskPrompt, scaled_size
from backend.tracking.refine_cues import MOST_INSIDE, MOST_NEIGHBOURS, cue_of, inner_points, neighbour_points
from backend.tracks import BoolArray, Point

SIZE = (90, 160)


def encoding_for(size: tuple[int, int], grid: tuple[int, int] | None = None) -> Encoding:
    """The true geometry of a frame of ``size``, with or without the padding of SAM's square."""
    scaled = scaled_size(*size)
    rows, columns = grid or (-(-scaled[0] // 16), -(-scaled[1] // 16))
    return Encoding(torch.zeros(1, 1, rows, columns), None, None, size, scaled)


def rectangle(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = SIZE) -> BoolArray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def asked(mask: BoolArray, *others: BoolArray, encoding: Encoding | None = None) -> MaskPrompt:
    cue = cue_of(mask, torch.from_numpy(mask).float(), others, encoding or encoding_for(SIZE))
    assert cue is not None
    return cue


def on(mask: BoolArray, point: Point) -> bool:
    return bool(mask[int(point.y), int(point.x)])


def test_the_box_is_the_masks_without_specks() -> None:
    mask = rectangle(20, 10, 60, 50)
    mask[80, 150] = True
    assert asked(mask).box == (20, 10, 60, 50)


def test_without_a_mask_there_is_nothing_to_ask() -> None:
    nothing = np.zeros(SIZE, bool)
    assert cue_of(nothing, torch.zeros(SIZE), [], encoding_for(SIZE)) is None


def test_points_are_inside_and_one_of_them_in_the_middle() -> None:
    mask = rectangle(20, 10, 61, 51)
    points = asked(mask).points
    assert points[0] == Point(40.5, 30.5)
    assert all(point.positive and on(mask, point) for point in points)


def test_points_are_spread_over_the_objects_parts() -> None:
    parts = [rectangle(5, 20, 35, 50), rectangle(60, 20, 90, 50), rectangle(120, 20, 150, 50)]
    points = inner_points(np.any(parts, 0), np.ones(SIZE, np.float32))
    assert len(points) == MOST_INSIDE
    assert all(sum(on(part, point) for point in points) == 1 for part in parts)


def test_a_part_that_is_thin_beside_the_rest_gets_none() -> None:
    thick, thin = rectangle(20, 20, 60, 60), rectangle(60, 40, 150, 44)
    assert not any(on(thin, point) for point in asked(thick | thin).points)


def test_points_lie_where_the_object_is_certain() -> None:
    mask = rectangle(20, 20, 120, 60)
    left = rectangle(20, 20, 70, 60)
    probability = torch.where(torch.from_numpy(left), 0.99, 0.51) * torch.from_numpy(mask)
    cue = cue_of(mask, probability, [], encoding_for(SIZE))
    assert cue is not None
    assert on(left, cue.points[0])


def test_probabilities_may_be_of_another_resolution() -> None:
    mask = rectangle(20, 20, 60, 60)
    half = torch.from_numpy(mask[::2, ::2]).float()
    cue = cue_of(mask, half, [], encoding_for(SIZE))
    assert cue is not None
    assert cue.logits is not None
    whole = asked(mask).logits
    assert whole is not None
    assert ((cue.logits > 0) == (whole > 0)).float().mean() > 0.99


def test_negative_points_lie_on_the_neighbours_near_by() -> None:
    mask, near, far = rectangle(20, 20, 60, 60), rectangle(60, 30, 100, 50), rectangle(120, 20, 150, 60)
    negative = [point for point in asked(mask, near, far).points if not point.positive]
    assert len(negative) == 1
    assert on(near, negative[0])
    assert negative[0].x < 66


@pytest.mark.parametrize("corner", [(0, 0), (140, 70)])
def test_a_neighbour_at_the_pictures_edge(corner: tuple[int, int]) -> None:
    x, y = corner
    mask, near = rectangle(x, y, x + 20, y + 10), rectangle(x, y + 10, x + 20, y + 20)
    negative = [point for point in asked(mask, near).points if not point.positive]
    assert negative
    assert all(on(near, point) for point in negative)


def test_the_widest_neighbours_count() -> None:
    others = [rectangle(10 * n, 60, 10 * n + 2 + n, 80) for n in range(6)]
    points = neighbour_points((0, 20, 70, 62), others)
    assert len(points) == MOST_NEIGHBOURS
    assert not any(on(other, point) for other in others[:3] for point in points)


def test_inside_a_neighbours_box_but_not_on_it() -> None:
    ring = rectangle(10, 10, 80, 80) & ~rectangle(20, 20, 70, 70)
    assert [on(ring, point) for point in neighbour_points((0, 0, 90, 90), [ring])] == [True]
    assert neighbour_points((35, 35, 50, 50), [ring]) == []


@pytest.mark.parametrize("grid", [None, (64, 64)], ids=["cropped", "padded"])
@pytest.mark.parametrize("size", [(90, 160), (160, 90)])
def test_logits_lie_in_the_segmenters_own_frame(size: tuple[int, int], grid: tuple[int, int] | None) -> None:
    """The long side fills it, and what is beyond the short one is padding: certainly not the object."""
    encoding = encoding_for(size, grid)
    height, width = size
    mask = rectangle(width // 2, height // 2, width, height, size)  # the lower right quarter
    logits = asked(mask, encoding=encoding).logits
    assert logits is not None
    assert tuple(logits.shape) == encoding.grid
    rows, columns = (side // 4 for side in encoding.scaled)
    inside = logits > 0
    assert inside[rows // 2 + 1 : rows, columns // 2 + 1 : columns].all()
    inside[rows // 2 - 1 : rows, columns // 2 - 1 : columns] = False
    assert not inside.any()
    assert (logits[rows:] < -7).all()
    assert (logits[:, columns:] < -7).all()
