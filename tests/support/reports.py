"""Reports of benchmarks that nobody ran."""

from __future__ import annotations

from typing import Any

from backend.evaluation.benchmark_cases import RESOLUTIONS
from backend.evaluation.benchmark_report import Case, Clicks, Figure, Machine, Measured, Memory, Report
from backend.evaluation.load_report import HeldMemory, Latencies, LoadReport
from backend.evaluation.stages import ASSOCIATE, DECODE, ENCODE, STAGES

MACHINE = Machine(
    cpu="Slide Rule 9",
    cores=2,
    memory=8 << 30,
    system="Linux 6.1",
    python="3.11.9",
    torch="2.6.0",
    device="cpu",
    gpu=None,
    dtype="float32",
    threads=2,
    waiting="passive",
)


def case(objects: int = 1, resolution: str = "480p", frames: int = 60) -> Case:
    width, height = RESOLUTIONS[resolution]
    return Case(objects=objects, resolution=resolution, width=width, height=height, frames=frames)


def measured(
    of: Case, *walls: float, encode: float = 80.0, found: float = 1.0, clicks: bool = False, device: int | None = None
) -> Measured:
    """A case that took ``walls`` milliseconds a frame, ``encode`` of them to encode and 0.5 in each other stage."""
    stages: dict[str, Figure | None] = {stage: Figure(values=(0.5,) * len(walls)) for stage in STAGES}
    stages |= {ENCODE: Figure(values=(encode,) * len(walls)), ASSOCIATE: None}
    clicked = Clicks(
        first=Figure(values=(300.0, 310.0, 320.0)),
        stages={DECODE: Figure(values=(10.0, 20.0, 30.0)), ENCODE: Figure(values=(250.0, 251.0, 252.0))},
        following=Figure(values=(40.0, 45.0, 50.0)),
    )
    return Measured(
        case=of,
        wall=Figure(values=walls),
        stages=stages,
        beside={DECODE: Figure(values=(7.25,) * len(walls))},
        found=found,
        memory=Memory(loaded=500 << 20, peak=900 << 20, device=device),
        clicks=clicked if clicks else None,
    )


def report(*cases: Measured, **changes: Any) -> Report:
    made = Report(
        version="0.2.0",
        commit="abc1234",
        date="2026-01-31",
        profile="lite",
        machine=MACHINE,
        load=0.25,
        repeats=3,
        warm_up=8,
        cases=cases,
    )
    return made.model_copy(update=changes)


def load_report(**changes: Any) -> LoadReport:
    """Of a load test of two minutes in which nothing went wrong but ``changes``."""
    mebi = 1 << 20
    usual: dict[str, Any] = {
        "version": "1.0",
        "commit": "abc",
        "date": "2026-01-01",
        "machine": MACHINE,
        "load": 0.5,
        "seed": 0,
        "annotators": 20,
        "videos": 5,
        "video_frames": 24,
        "width": 854,
        "height": 480,
        "budget_seconds": 10.0,
        "minutes": 2.0,
        "opened": 8,
        "finished": 10,
        "frames": 240,
        "presses": Latencies(count=100, p50=1.0, p90=5.0, p99=10.0, most=11.0),
        "health": Latencies(count=1000, p50=0.002, p90=0.01, p99=0.06, most=0.2),
        "busy": 0,
        "errors": {},
        "wrong": {},
        "examples": (),
        "memory": HeldMemory(start=1000 * mebi, median=1100 * mebi, end=1200 * mebi, peak=1300 * mebi),
        "ended": True,
    }
    return LoadReport(**usual | changes)
