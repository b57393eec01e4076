"""``benchmark --xmem-forms``: what the rewriting of XMem is worth on this machine."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from backend import __version__
from backend.errors import SettingsError
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.propagation.xmem_static import Mode

NAME = "xmem-forms"
MODES = ("compile", "graphs")

log = logging.getLogger(__name__)


def measure(
    settings: Settings,
    objects: tuple[int, ...],
    repeats: int,
    modes: tuple[Mode, ...],
    places: tuple[Path, Path],
) -> None:
    """Measure with each number of objects, save what was measured after each, and print the Markdown.

    Random weights serve, since times do not depend on them: nothing is fetched.

    Args:
        settings: for the device and the threads.
        objects: numbers of them.
        repeats: turns that are timed.
        modes: in which the fastest form is timed besides.
        places: of the JSON and of the Markdown.

    Raises:
        OutputError: one of them cannot be written.
        SettingsError: the device does not have one of the modes.
    """
    import torch

    from backend.evaluation.machine import commit, describe, load_average
    from backend.evaluation.xmem_forms import Forms
    from backend.evaluation.xmem_forms_report import FormsReport, to_markdown
    from backend.evaluation.xmem_reference import random_state
    from backend.export.results import write_text
    from backend.segmentation.build import fast_dtype
    from backend.service.engine import choose

    load = load_average()
    device = choose(settings).device
    if "graphs" in modes and not device.startswith("cuda"):
        raise SettingsError(f"--xmem-mode graphs: CUDA graphs need a CUDA device, and this is {device}; leave it out")
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    dtypes = list(dict.fromkeys([torch.float32, fast_dtype(device)]))
    forms = Forms.of(random_state(), device, dtypes, modes)
    report = FormsReport(
        version=__version__,
        commit=commit(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=describe(device, dtypes[-1]),
        load=load,
        repeats=repeats,
        cases=(),
    )
    text = ""
    for number, count in enumerate(objects):
        log.info("case %d of %d: %d objects", number + 1, len(objects), count)
        # On a CPU what the first case warms up stays warm, and a turn with many objects takes minutes.
        case = forms.measure(count, repeats, warm_up=number == 0 or device != "cpu")
        report = report.model_copy(update={"cases": (*report.cases, case)})
        text = to_markdown(report)
        write_text(places[0], report.model_dump_json(indent=1) + "\n")
        write_text(places[1], text)
    print(text)
