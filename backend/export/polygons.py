"""A mask as one polygon, for formats that know nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from backend.tracks import BoolArray, FloatArray

# Earlier versions of Ultralytics resample a polygon of more, and lose its corners.
MOST_VERTICES = 1000
# The least part has four vertices and two for the line to it, but for the first one: more parts never fit.
MOST_RINGS = (MOST_VERTICES + 2) // 6
# Vertices lie this far inside of the pixels' edges: who cuts their decimals off, as Ultralytics does before it fills
# the polygon, gets the very pixels at the border instead of the next ones.
_INSET = 0.02
# In pixels. The first one only brings together the two vertices of a concave corner, which is still exact for who does
# not cut off decimals; between it and half a pixel a staircase keeps its steps.
_TOLERANCES = (0.1, *(0.5 * 1.2**step for step in range(30)))

IntArray = npt.NDArray[np.int64]


def outline(mask: BoolArray) -> FloatArray:
    """``(N, 2)`` vertices, x and y in pixels, of a polygon around a mask's pixels; N >= 3.

    It follows the edges of the pixels and is exact, unless that takes more than :data:`MOST_VERTICES`: then of its
    parts and holes the largest :data:`MOST_RINGS` are kept, and simplified just as far as they have to be. Parts are
    joined, each to the nearest, by a line there and back; so are holes, which the even-odd rule leaves open.

    Args:
        mask: ``(H, W)``, not empty.
    """
    rings = exact = _rings(mask)
    for tolerance in _TOLERANCES:
        if sum(map(len, rings)) + 2 * (len(rings) - 1) <= MOST_VERTICES:
            break
        rings = [_simplify(ring, tolerance) for ring in exact]
    return _join(rings)


def _rings(mask: BoolArray) -> list[FloatArray]:
    """The outlines of the largest parts and holes, those first in which others lie."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    # OpenCV's contours run through the middle of pixels. With each pixel doubled, whether a coordinate is even says
    # on which edge of the pixel it lies.
    doubled = part.repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = []
    for contour in sorted(contours, key=cv2.contourArea, reverse=True)[:MOST_RINGS]:
        found = contour[:, 0].astype(np.float32)
        edges = np.where(found % 2 == 0, found / 2 + _INSET, (found + 1) / 2 - _INSET)
        rings.append((edges + np.array((columns[0], rows[0]))).astype(np.float32))
    return rings


def _simplify(ring: FloatArray, tolerance: float) -> FloatArray:
    """Fewer vertices, at most ``tolerance`` pixels away; what would collapse becomes its box."""
    simple = cv2.approxPolyDP(ring[:, None], tolerance, closed=True)[:, 0]
    if len(simple) < 3:
        (x0, y0), (x1, y1) = ring.min(axis=0), ring.max(axis=0)
        simple = np.array(((x0, y0), (x0, y1), (x1, y1), (x1, y0)))
    return np.asarray(simple, np.float32)


def _join(rings: Sequence[FloatArray]) -> FloatArray:
    """One ring that runs through all: beginning with the first, the nearest one is hung in, over and over."""
    vertices = np.concatenate(rings)
    ring_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    first_of = np.cumsum([0, *(len(ring) for ring in rings)])
    path = list(range(len(rings[0])))
    waiting = np.flatnonzero(ring_of > 0)
    distance = np.full(len(vertices), np.inf, np.float32)
    nearest = np.zeros(len(vertices), np.int64)
    joined = 0
    while len(waiting):
        _approach(vertices, waiting, np.flatnonzero(ring_of == joined), distance, nearest)
        start = int(waiting[distance[waiting].argmin()])
        joined = int(ring_of[start])
        ring = range(int(first_of[joined]), int(first_of[joined + 1]))
        turned = [*ring[start - ring.start :], *ring[: start - ring.start]]
        place = path.index(int(nearest[start])) + 1
        path[place:place] = [*turned, start, int(nearest[start])]
        waiting = waiting[ring_of[waiting] != joined]
    return vertices[path]


def _approach(
    vertices: FloatArray, waiting: IntArray, joined: IntArray, distance: FloatArray, nearest: IntArray
) -> None:
    """Note for each waiting vertex the nearest one of those that were joined, where it is nearer than before."""
    x, y = (vertices[waiting, axis, None] - vertices[None, joined, axis] for axis in (0, 1))
    squares = x * x + y * y
    closest = squares.argmin(axis=1)
    found = squares[np.arange(len(waiting)), closest]
    nearer = found < distance[waiting]
    distance[waiting[nearer]] = found[nearer]
    nearest[waiting[nearer]] = joined[closest[nearer]]
