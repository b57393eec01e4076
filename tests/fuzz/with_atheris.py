"""Fuzz one target for as long as you like, guided by what its code does: ``pip install atheris``, then

    python tests/fuzz/with_atheris.py regions -max_total_time=3600 CORPUS

All after the target's name is libFuzzer's; what fails is left in a file, which the same command runs again.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
with atheris.instrument_imports(
    include=["backend.labelstudio", "backend.service", "backend.detections", "backend.cli"]
):
    from fuzz.targets import TARGETS, run


def main() -> None:
    """Read the target's name, and leave the rest to libFuzzer."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name one of: {', '.join(TARGETS)}")
    name = sys.argv.pop(1)
    logging.disable()
    atheris.Setup(sys.argv, lambda data: run(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
