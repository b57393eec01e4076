"""The machine that figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from backend.evaluation.benchmark_report import Machine
from backend.settings import wait_policy

if TYPE_CHECKING:
    import torch

_REPOSITORY = Path(__file__).resolve().parents[2]


def describe(device: str, dtype: torch.dtype) -> Machine:
    """This machine, and how the models use it.

    Args:
        device: where they run, not ``auto``.
        dtype: what they compute in, as far as they may choose.
    """
    import torch  # seconds long, and all else here does without

    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Machine(
        cpu=_cpu(),
        cores=cores or 1,
        memory=_memory(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=torch.__version__,
        device=device,
        gpu=gpu,
        dtype=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        waiting=wait_policy(),
    )


def load_average() -> float | None:
    """How many processes wanted a core over the last minute; None where the system does not say."""
    with suppress(AttributeError, OSError):
        return round(os.getloadavg()[0], 2)
    return None


def commit() -> str | None:
    """The commit that is checked out, ``-dirty`` where files differ from it; None where there is no repository."""
    command = ["git", "-C", str(_REPOSITORY), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _memory() -> int:
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0
