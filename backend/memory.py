"""What this process holds in memory."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path


def resident_bytes() -> int:
    """What this process holds in memory now; its peak where the system does not say."""
    return _status("VmRSS") or peak_bytes()


def resident_bytes_of(process: int) -> int | None:
    """What another process of ours holds in memory now; None where the system does not say, or it is gone."""
    return _status("VmRSS", process)


def peak_bytes() -> int:
    """The most that this process has held in memory; 0 where the system does not say."""
    # The high-water mark of getrusage includes that of the process which started this one.
    peak = _status("VmHWM")
    if peak is None:
        with suppress(ImportError):
            import resource

            usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return usage if sys.platform == "darwin" else 1024 * usage
    return peak or 0


def device_bytes(device: str) -> tuple[int, int] | None:
    """What torch holds of a CUDA device's memory for this process, and all that the device has; None for other devices,
    and as long as this process does not use it: its models may be on another machine."""
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda") or not torch.cuda.is_initialized():
        return None
    return torch.cuda.memory_reserved(device), torch.cuda.get_device_properties(device).total_memory


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there was no memory left, on the machine or on a device."""
    # torch's own is a RuntimeError, or a kind of it, and only its words tell.
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(one in str(error) for one in words)
    )


def _status(field: str, process: int | str = "self") -> int | None:
    """Bytes of a field of Linux's /proc/PROCESS/status."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{field}:"):
                return 1024 * int(line.split()[1])
    return None
