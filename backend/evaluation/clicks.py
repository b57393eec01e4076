"""Where somebody who knows the truth would click.

Source: the protocol of interactive segmentation's benchmarks, as of Xu et al., CVPR 2016: the next click goes into the
middle of the largest error.
"""

from __future__ import annotations

import cv2
import numpy as np

from backend.tracks import BoolArray, Point


def deepest_point(region: BoolArray) -> tuple[int, int] | None:
    """The pixel of a region that is farthest from its outside, which begins at the picture's edge too.

    Args:
        region: ``bool (H, W)``.

    Returns:
        (x, y), of several as deep the first in reading order; None where the region is empty.
    """
    padded = np.pad(region.astype(np.uint8), 1)
    if not padded.any():
        return None
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(column) - 1, int(row) - 1


def next_click(truth: BoolArray, found: BoolArray) -> Point | None:
    """The click that mends the largest error.

    Of the connected regions (by edges and corners) that were missed or are too much, the largest one counts, and its
    deepest point is clicked on: positive where the object was missed. Of two as large it is the missed one, then the
    first in reading order.

    Args:
        truth, found: ``bool (H, W)``.

    Returns:
        the click at the middle of its pixel; None where there is no error.
    """
    missed, excess = _largest(truth & ~found), _largest(found & ~truth)
    positive = int(missed.sum()) >= int(excess.sum())
    pixel = deepest_point(missed if positive else excess)
    return None if pixel is None else Point(pixel[0] + 0.5, pixel[1] + 0.5, positive)


def _largest(region: BoolArray) -> BoolArray:
    """The largest connected part; empty where the region is."""
    _, labels, parts, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    areas = parts[1:, cv2.CC_STAT_AREA]
    if not len(areas):
        return region
    largest = np.isin(labels, 1 + np.flatnonzero(areas == areas.max()))
    first = labels.ravel()[largest.ravel().argmax()]
    return np.asarray(labels == first)
