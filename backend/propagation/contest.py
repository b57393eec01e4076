"""Objects that are propagated against what others, who are not, hold of a frame."""

from __future__ import annotations

from torch import Tensor


def contest(probability: Tensor, claimed: Tensor) -> Tensor:
    """The probability of an object at places that somebody else claims with a probability of his own.

    A place is one's, the other's or nobody's, and odds decide, as where objects compete that are propagated together
    (Oh et al., ICCV 2019). Where nothing is claimed it stays as it was.
    """
    return probability * (1 - claimed) / (1 - probability * claimed).clamp(min=1e-6)
