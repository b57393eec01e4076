"""Fuzz one target for as long as you like, guided by what its code does: ``pip install atheris``, then

    python tests/fuzz/with_atheris.py regions -max_total_time=3600 CORPUS

All after the target's name is libFuzzer's; what fails is left in a file, which the same command runs again.
"""

from __future__ import annotations

import logging
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
with atheris.instrument_imports(
    include=[
        "backend.labelstudio",
        "backend.service",
        "backend.detections",
        "backend.cli",
        "backend.video",
        "backend.tracks",
        "PIL",
    ]
):
    from fuzz.targets import TARGETS, run

COMPARISONS = (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge)
SHIFT = 4 if sys.version_info >= (3, 12) else 0  # of which of them it is, in bytecode


class Comparing:
    """Stands in the place of comparisons in instrumented code. What arrays compare to is never freed by atheris itself,
    which runs out of memory within a minute."""

    def __init__(self, own: Callable[..., Any]) -> None:
        self._own = own

    def __call__(self, left: Any, right: Any, comparison: int, *where: Any) -> Any:
        if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
            return COMPARISONS[comparison >> SHIFT](left, right)
        return self._own(left, right, comparison, *where)


def main() -> None:
    """Read the target's name, and leave the rest to libFuzzer."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name one of: {', '.join(TARGETS)}")
    name = sys.argv.pop(1)
    logging.disable()

    def read(data: bytes) -> None:
        if not isinstance(atheris._trace_cmp, Comparing):  # atheris sets its own as it begins
            atheris._trace_cmp = Comparing(atheris._trace_cmp)
        run(name, data)

    atheris.Setup(sys.argv, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
