from __future__ import annotations

import numpy as np
import pytest

from backend.segmentation.proposals import ProposalRules, propose
from backend.tracks import BoolArray, Box
from support.proposing import Shape, ShapeSegmenter

HEIGHT, WIDTH = 96, 128
A: Box = (10, 10, 40, 30)
B: Box = (60, 40, 100, 80)


def proposed(*shapes: Shape, known: BoolArray | None = None, padded: bool = False, **rules: float) -> list[Box | None]:
    """The boxes of what is proposed, the best first."""
    segmenter = ShapeSegmenter(lambda _: shapes, padded=padded)
    found = propose(segmenter.as_segmenter, segmenter.encoding(), known, ProposalRules(**rules))
    together = np.zeros((HEIGHT, WIDTH), int)
    for one in found:
        together += one.mask.array()
    assert together.max() <= 1  # whatever is proposed, masks do not overlap
    return [one.mask.box for one in found]


def filled(*boxes: Box) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for x0, y0, x1, y1 in boxes:
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return mask


def test_each_object_is_proposed_once_the_best_first() -> None:
    assert proposed(Shape(A, iou=0.9), Shape(B, iou=0.95)) == [B, A]
    assert proposed(Shape(A, iou=0.99), Shape(B, iou=0.85)) == [A, B]


def test_the_larger_of_two_as_good_ones_comes_first() -> None:
    assert proposed(Shape(A), Shape(B)) == [B, A]
    assert proposed(Shape(A, iou=0.951), Shape(B), larger=0.0) == [A, B]


def test_the_score_is_predicted_iou_times_stability() -> None:
    segmenter = ShapeSegmenter(lambda _: [Shape(A, iou=0.9, soft=0.1)])
    (one,) = propose(segmenter.as_segmenter, segmenter.encoding())
    assert one.score == pytest.approx(0.9 * 0.9, abs=1e-3)


def test_where_nothing_is_there_is_nothing() -> None:
    assert proposed() == []


@pytest.mark.parametrize(
    "bad",
    [
        Shape(A, iou=0.79),
        Shape(A, soft=0.3),
        Shape((12, 12, 15, 15)),
        Shape((1, 1, 120, 90)),
    ],
    ids=["poorly segmented", "unstable", "too small", "too large"],
)
def test_what_is_no_object(bad: Shape) -> None:
    assert proposed(bad, Shape(B)) == [B]


@pytest.mark.parametrize(
    "good", [Shape(A, iou=0.81), Shape(A, soft=0.2), Shape((10, 10, 18, 14)), Shape((1, 1, 80, 70))]
)
def test_what_is_just_an_object(good: Shape) -> None:
    assert proposed(good) == [good.box]


@pytest.mark.parametrize(
    ("box", "is_object"),
    [
        ((0, 0, WIDTH, 20), False),
        ((30, 0, 50, HEIGHT), False),
        ((0, 0, 60, 40), False),
        ((40, 36, 80, HEIGHT), True),
        ((0, 30, 40, 70), True),
    ],
    ids=["the sky", "from top to bottom", "a corner", "a person's bust", "comes in"],
)
def test_what_the_border_cuts_most_of_is_background(box: Box, is_object: bool) -> None:
    assert proposed(Shape(box)) == ([box] if is_object else [])


def test_a_field_that_hardly_fills_its_corner_is_background() -> None:
    """It meets two sides of the frame, with little of its outline."""
    triangle = Shape((40, 50, 100, 94), specks=((94, 80, WIDTH, 84), (80, 90, 84, HEIGHT)))
    assert proposed(triangle) == []
    assert proposed(triangle, corner=0.4) == [(40, 50, WIDTH, HEIGHT)]


def test_of_what_is_padded_the_picture_counts() -> None:
    """Without that the padding would be a part of every mask, and the lower edge not the border."""
    assert proposed(Shape(A), Shape((0, 60, WIDTH, HEIGHT)), padded=True) == [A]


def test_an_annotator_wants_the_dog_and_not_its_ear() -> None:
    ear = Shape((60, 40, 84, 64), iou=0.97)
    assert proposed(ear, Shape(B, iou=0.9)) == [B]
    assert proposed(ear, Shape(B, iou=0.9), margin=0.01, larger=0.0) == [ear.box, B]  # each by itself


def test_what_is_most_of_a_whole_is_another_guess_at_it() -> None:
    """The better one is it, and what is left over is nothing."""
    guess = (60, 40, 95, 78)
    assert proposed(Shape(guess, iou=0.99), Shape(B, iou=0.85)) == [guess]
    assert proposed(Shape(guess, iou=0.85), Shape(B, iou=0.99)) == [B]


def test_of_masks_that_overlap_by_half_the_better_one_is_left() -> None:
    left, right = (30.0, 40.0, 60.0, 60.0), (42.0, 40.0, 70.0, 60.0)
    assert proposed(Shape(left, iou=0.99), Shape(right, iou=0.85)) == [left]
    assert proposed(Shape(left, iou=0.99), Shape((48, 40, 78, 60), iou=0.85)) == [left, (60, 40, 78, 60)]


def test_the_ground_swallows_nothing() -> None:
    ground = (0, 30, WIDTH, HEIGHT)
    assert proposed(Shape(ground, iou=0.99), Shape(B, iou=0.85)) == [B]
    assert proposed(Shape(ground, iou=0.99, holes=(B,)), Shape(B, iou=0.85)) == [B]


def test_a_worse_mask_of_the_background_hides_nothing() -> None:
    """Of three masks at each point of the ground, one has an object in it that no point of the coarse level meets."""
    small = (64.0, 42.0, 74.0, 52.0)
    ground = (0, 30, WIDTH, HEIGHT)
    better, worse = Shape(ground, iou=0.99, holes=(small,)), Shape(ground, iou=0.9)
    assert proposed(better, worse, Shape(small)) == [small]


def test_nothing_is_asked_where_something_was_found() -> None:
    alone, covered = ShapeSegmenter(lambda _: []), ShapeSegmenter(lambda _: [Shape((0, 0, WIDTH, 60))])
    for segmenter in (alone, covered):
        propose(segmenter.as_segmenter, segmenter.encoding())
    assert len(alone.points) == 24 * 18
    assert len(set(alone.points)) == len(alone.points)
    assert len(covered.points) < len(alone.points) / 2
    assert sum(point.y < 60 for point in covered.points) <= 24  # the coarse level, where it is background


def test_inside_an_object_nothing_else_is_asked() -> None:
    segmenter = ShapeSegmenter(lambda _: [Shape((10, 10, 80, 80))])
    propose(segmenter.as_segmenter, segmenter.encoding())
    assert sum(10 <= point.x < 80 and 10 <= point.y < 80 for point in segmenter.points) <= 8  # one batch


@pytest.mark.parametrize("most", [24, 50, 100])
def test_of_all_points_so_many_are_asked_from_all_over_the_frame(most: int) -> None:
    segmenter = ShapeSegmenter(lambda _: [])
    propose(segmenter.as_segmenter, segmenter.encoding(), rules=ProposalRules(asked=most))
    points = [point for _, point in segmenter.asked_on]
    assert most / 2 <= len(points) <= most
    assert min(point.x for point in points) < WIDTH / 3 < 2 * WIDTH / 3 < max(point.x for point in points)
    assert min(point.y for point in points) < HEIGHT / 3 < 2 * HEIGHT / 3 < max(point.y for point in points)


def test_points_are_asked_in_batches() -> None:
    segmenter = ShapeSegmenter(lambda _: [])
    propose(segmenter.as_segmenter, segmenter.encoding())
    assert max(len(batch) for batch in segmenter.asked) == 8


def test_what_is_known_is_neither_asked_about_nor_proposed() -> None:
    known = filled(A)
    segmenter = ShapeSegmenter(lambda _: [Shape(A), Shape(B)])
    found = propose(segmenter.as_segmenter, segmenter.encoding(), known)
    assert [one.mask.box for one in found] == [B]
    assert not any(known[int(point.y), int(point.x)] for point in segmenter.points)


def test_where_all_is_known_nothing_is_asked() -> None:
    segmenter = ShapeSegmenter(lambda _: [Shape(B)])
    assert propose(segmenter.as_segmenter, segmenter.encoding(), np.ones((HEIGHT, WIDTH), bool)) == []
    assert segmenter.asked == []


@pytest.mark.parametrize(("right", "expected"), [(36, []), (24, [A])])
def test_what_lies_in_what_is_known_by_half_is_known(right: int, expected: list[Box]) -> None:
    assert proposed(Shape(A), known=filled((10, 10, right, 30))) == expected


def test_specks_go_and_holes_are_filled() -> None:
    whole = Shape(A, holes=((20, 15, 22, 17),), specks=((90, 90, 92, 92),))
    segmenter = ShapeSegmenter(lambda _: [whole])
    (one,) = propose(segmenter.as_segmenter, segmenter.encoding())
    assert (one.mask.array() == filled(A)).all()


def test_large_parts_and_large_holes_stay() -> None:
    """A leg on the other side of a post, and what is seen through a wheel."""
    wheel = Shape(B, holes=((70, 50, 90, 70),), specks=((105, 40, 115, 80),))
    segmenter = ShapeSegmenter(lambda _: [wheel])
    (one,) = propose(segmenter.as_segmenter, segmenter.encoding())
    assert (one.mask.array() == (filled(B, (105, 40, 115, 80)) & ~filled((70, 50, 90, 70)))).all()


def test_what_is_scattered_is_texture() -> None:
    leaves = tuple((20.0 * n + 10, 60.0, 20.0 * n + 20, 80.0) for n in range(4))
    assert proposed(Shape(A, specks=leaves)) == []
    assert proposed(Shape(A, specks=leaves[:2])) == [(10, 10, 40, 80)]


def test_no_more_than_so_many_and_the_best() -> None:
    row = [Shape((12.0 * n, 40, 12.0 * n + 8, 48), iou=0.85 + 0.01 * n) for n in range(10)]
    assert proposed(*row, most=3) == [shape.box for shape in row[:-4:-1]]
