"""The connected parts of a readout: which of them are the object, and which another one that looks like it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from backend.propagation.cues import LEAST
from backend.tracks import BoolArray, ImageArray

# A part is apart that is further from where the object was than this part of its size, the root of its area.
APART = 0.5
# What is not apart is all of the object, where it makes up this part of its area.
WHOLE = 0.6
# Parts that are apart and together make up this part of its area may be another object, of which little need show;
# less is the tip of a hand, or nothing.
ANOTHER = 0.01
# Cells across which a part is removed with, or kept with: a readout fades out around its parts.
_AROUND = np.ones((9, 9), np.uint8)


def strongest(readout: Tensor) -> Tensor:
    """1 on and around the connected part of a readout (rows, columns) that has most of it, 0 elsewhere."""
    inside = _inside(readout)
    count, labels = cv2.connectedComponents(inside, connectivity=8)
    if count <= 1 or int(inside.sum()) < LEAST:
        return torch.zeros_like(readout)
    weights = np.bincount(labels.ravel(), weights=readout.cpu().numpy().ravel())
    return _as_tensor(cv2.dilate(_as_image(labels == 1 + int(weights[1:].argmax())), _AROUND), readout)


def continued(readout: Tensor, last: Tensor, area: float) -> Tensor:
    """0 on and around those connected parts of a readout that are no continuation of what was there, 1 elsewhere.

    What looks like an object may be another of its kind. Where an object goes on as a whole from where it was, what
    shows apart from there is somebody else, if it is not too little. Where it does not, as behind a lamp post or in a
    leap, nothing is known of the parts, and all are kept. A segmenter that is asked for both shows both.

    Args:
        readout: (rows, columns) probabilities.
        last: (rows, columns) probabilities, of the frame before.
        area: cells of the whole object, as it was when a human showed it.
    """
    count, labels = cv2.connectedComponents(_inside(readout), connectivity=8)
    if count <= 2:  # one part, as nearly always: what was there last stays on its device
        return torch.ones_like(readout)
    before = _inside(last)
    size = int(before.sum())
    if not size:
        return torch.ones_like(readout)
    distances = cv2.distanceTransform(1 - before, cv2.DIST_L2, 3)
    nearest = np.full(count, np.inf, np.float32)
    np.minimum.at(nearest, labels, distances)
    stays = nearest <= APART * np.sqrt(size)
    stays[0] = False
    staying = stays[labels]
    others = (labels > 0) & ~staying
    whole = max(size, area)
    if int(staying.sum()) < WHOLE * whole or int(others.sum()) < ANOTHER * whole:
        return torch.ones_like(readout)
    removed = cv2.dilate(_as_image(others), _AROUND)
    removed[staying] = 0
    return _as_tensor(1 - removed, readout)


def _inside(probability: Tensor) -> ImageArray:
    return _as_image((probability > 0.5).cpu().numpy())


def _as_image(there: BoolArray) -> ImageArray:
    return there.astype(np.uint8)


def _as_tensor(image: ImageArray, like: Tensor) -> Tensor:
    return torch.from_numpy(image.astype(np.float32)).to(like.device)
