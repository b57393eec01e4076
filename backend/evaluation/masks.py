"""How well a mask agrees with the truth: DAVIS's region similarity J and contour accuracy F.

Source: Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation, CVPR 2016, section
5, with the conventions of the official evaluation of 2017. All measures are between 0 and 1.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from backend.tracks import BoolArray

TOLERANCE = 0.008
"""Of a contour's place, as a share of the picture's diagonal."""


def region_similarity(truth: BoolArray, found: BoolArray) -> float:
    """J: intersection over union of two masks ``bool (H, W)``; 1 where both are empty."""
    union = np.count_nonzero(truth | found)
    return np.count_nonzero(truth & found) / union if union else 1.0


def contour_accuracy(truth: BoolArray, found: BoolArray, tolerance: float = TOLERANCE) -> float:
    """F: the harmonic mean of precision and recall of a mask's contour.

    A contour pixel is right if the other mask has one within the tolerance. Precision is the share of right ones on the
    found contour, recall that on the true one. Without any contour on either side F is 1, on one side only it is 0. A
    mask that fills the picture has no contour, as an empty one has none.

    Args:
        truth, found: ``bool (H, W)``.
        tolerance: pixels if at least 1, otherwise a share of the picture's diagonal, which is rounded up to pixels.
    """
    radius = tolerance if tolerance >= 1 else math.ceil(tolerance * math.hypot(*truth.shape))
    true, drawn = contour(truth), contour(found)
    if not true.any() or not drawn.any():
        return float(true.any() == drawn.any())
    # Elsewhere there is nothing to count, and distances are what takes time.
    left, top, width, height = cv2.boundingRect((true | drawn).astype(np.uint8))
    part = np.s_[top : top + height, left : left + width]
    precision = _share_near(drawn[part], true[part], radius)
    recall = _share_near(true[part], drawn[part], radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def contour(mask: BoolArray) -> BoolArray:
    """The pixels ``bool (H, W)`` that differ from their neighbour on the right, below, or diagonally between the two.

    So the contour runs along a mask's inside on the right and at the bottom, and along its outside on the left and at
    the top. What lies beyond the picture counts as a continuation of its edge.
    """
    beyond = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ beyond[:-1, 1:]) | (mask ^ beyond[1:, :-1]) | (mask ^ beyond[1:, 1:])


def _share_near(pixels: BoolArray, others: BoolArray, radius: float) -> float:
    """The share of ``pixels`` that have one of ``others`` within a disk of ``radius``; neither is empty."""
    distance = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((distance[pixels] <= radius).mean())
