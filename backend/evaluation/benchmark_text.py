"""A benchmark's report as Markdown, ready to paste."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.evaluation.benchmark_ratio import MEMORY, NEGLIGIBLE, Comparison, Ratio
from backend.evaluation.benchmark_report import Figure, Machine, Measured, Report
from backend.evaluation.stages import DECODE, MASKS, PROMPTS, STAGES

_NOTES = """\
A press of `t`, from opening the file to the regions' JSON, without Label Studio and HTTP, with a box for each object on
the first frame. The clips are drawn: textured ellipses, a twelfth of the picture wide, before a panning background, all
in sight all the time. No press finds anything in a cache.

- *Decode, beside* is the thread that reads ahead. It overlaps with the rest and is not part of its sum.
- *Decode, where the tracker waits* is opening the file, the prompted frame, and frames that are looked at for cuts.
- *Refine* is the segmenter's decoder on behalf of the propagator; *propagate* is the propagator without it.
- *Decode masks* is scaling masks to full size, encoding their run lengths, and their boxes.
- *Thin* is drawing the boxes with the margins of those that were given, and choosing the keyframes.

Shares are of the sum of the stages."""


def to_markdown(report: Report, comparison: Comparison | None = None) -> str:
    """Tables by number of objects, by resolution and by length, and clicks; what was compared comes last."""
    models = f"`{report.profile}` ({report.segmenter} + {report.propagator})"
    parts = [f"## Speed of {models} on {_device(report.machine)}", _preamble(report), _NOTES]
    base = report.cases[0].case
    sweeps = (
        ("By number of objects", "objects", ("resolution", "frames")),
        ("By resolution", "resolution", ("objects", "frames")),
        ("By length", "frames", ("objects", "resolution")),
    )
    for title, varied, fixed in sweeps:
        cases = [one for one in report.cases if all(getattr(one.case, name) == getattr(base, name) for name in fixed)]
        if varied == "frames" and len(cases) > 1:
            parts += [f"### {title}", _lengths(sorted(cases, key=lambda one: one.case.frames))]
        elif varied == "objects" or len(cases) > 1:
            parts += [f"### {title}", _stages(cases, varied, report.profile)]
    clicked = [one for one in report.cases if one.clicks is not None]
    if clicked:
        parts += ["### Clicks", _clicks(clicked)]
    parts += [f"Attention: {sentence}" for sentence in _doubts(report)]
    if comparison is not None:
        parts += list(_comparison(comparison))
    return "\n\n".join(parts) + "\n"


def describe_machine(machine: Machine) -> str:
    """What was measured on, and with what, as the beginning of a sentence."""
    waiting = f"OMP_WAIT_POLICY={machine.waiting}" if machine.waiting else "OMP_WAIT_POLICY not set"
    where = [
        machine.gpu,
        machine.cpu,
        plural(machine.cores, "core"),
        f"{machine.memory / 2**30:.0f} GiB of memory",
        machine.system,
    ]
    how = [
        f"Python {machine.python}",
        f"torch {machine.torch}",
        f"{plural(machine.threads, 'thread')} ({waiting})",
    ]
    return f"{', '.join(part for part in where if part)}. {', '.join(how)}"


def describe_run(version: str, commit: str | None, date: str, repeats: int) -> str:
    """Which Keytrack measured, when and how often."""
    made = f"Keytrack {version}" + (f" ({commit})" if commit else "")
    runs = "one run" if repeats == 1 else f"medians of {repeats} runs, with the least and the greatest"
    return f"{made}, {date}: {runs}"


def describe_load(load: float | None) -> str:
    """How busy the machine was, as the end of a sentence."""
    return "" if load is None else f"; load average before it began: {load:g}"


def _preamble(report: Report) -> str:
    return (
        f"{describe_machine(report.machine)}, encoder and keys in {report.machine.dtype}. "
        f"{describe_run(report.version, report.commit, report.date, report.repeats)}, after "
        f"{plural(report.warm_up, 'frame')} to warm up, each case in a process of its own{describe_load(report.load)}."
    )


def _stages(cases: Sequence[Measured], varied: str, profile: str) -> str:
    heads = [plural(one.case.objects, "object") if varied == "objects" else one.case.resolution for one in cases]
    fixed = cases[0].case.resolution if varied == "objects" else plural(cases[0].case.objects, "object")
    rows = [[f"ms per frame ({fixed}, {cases[0].case.frames} frames)", *heads]]
    rows.append(["decode, beside", *(_milliseconds(one.beside[DECODE].median) for one in cases)])
    for stage in STAGES:
        rows.append([STAGES[stage], *(_share(one, stage, profile) for one in cases)])
    rows += [
        ["**end to end**", *(f"**{_milliseconds(one.wall.median)}**{_spread(one.wall)}" for one in cases)],
        ["frames per second", *(f"{_rate(one.wall):.2f}" for one in cases)],
        *_memory_rows(cases),
    ]
    return table(rows)


def _lengths(cases: Sequence[Measured]) -> str:
    first = cases[0].case
    fixed = f"{plural(first.objects, 'object')}, {first.resolution}"
    rows = [
        [f"frames ({fixed})", *(str(one.case.frames) for one in cases)],
        ["ms per frame", *(f"{_milliseconds(one.wall.median)}{_spread(one.wall)}" for one in cases)],
        ["frames per second", *(f"{_rate(one.wall):.2f}" for one in cases)],
        *_memory_rows(cases),
    ]
    return table(rows)


def _memory_rows(cases: Sequence[Measured]) -> Iterator[list[str]]:
    yield ["peak memory", *(_bytes(one.memory.peak) for one in cases)]
    yield ["of it before the first press", *(_bytes(one.memory.loaded) for one in cases)]
    if any(one.memory.device is not None for one in cases):
        yield ["peak memory of the device", *(_bytes(one.memory.device or 0) for one in cases)]


def _clicks(cases: Sequence[Measured]) -> str:
    rows = [["ms", *(one.case.resolution for one in cases)]]
    clicks = [one.clicks for one in cases if one.clicks is not None]
    for stage in clicks[0].stages:
        rows.append([_CLICK_LABELS.get(stage, STAGES[stage]), *(_milliseconds(c.stages[stage].median) for c in clicks)])
    rows.append(["**first click**", *(f"**{_milliseconds(c.first.median)}**{_spread(c.first)}" for c in clicks)])
    rows.append(
        ["**following click**", *(f"**{_milliseconds(c.following.median)}**{_spread(c.following)}" for c in clicks)]
    )
    note = (
        "Until the mask is written as Label Studio takes it. First clicks are on "
        f"{len(clicks[0].first.values)} frames all over the clip, none of which was decoded or encoded before; on each "
        "follows a second click."
    )
    return f"{table(rows)}\n\n{note}"


_CLICK_LABELS = {DECODE: "decode", PROMPTS: "segment", MASKS: "decode masks"}


def _doubts(report: Report) -> Iterator[str]:
    for one in report.cases:
        if one.found < 1:
            yield (
                f"{one.case}: objects were lost in {1 - one.found:.1%} of the observations; to look for them costs "
                "something else than to follow them."
            )


def _comparison(comparison: Comparison) -> Iterator[str]:
    old = comparison.old
    made = f"Keytrack {old.version}" + (f" ({old.commit})" if old.commit else "")
    yield f"### Compared with {made}, {old.date}"
    yield from (f"Attention: {sentence}." for sentence in comparison.warnings)
    rows = [["case", "figure", "before", "now", "ratio", ""]]
    for one in comparison.ratios:
        name, values = STAGES.get(one.name, one.name), (_value(one.name, one.old), _value(one.name, one.new))
        rows.append([str(one.case), name, *values, _ratio(one), one.verdict])
    yield table(rows)
    yield (
        "The ratio is now / before, so that below 1 is better. *Within the spread*: the runs of both overlap, and the "
        "difference may be chance. *One value*: one side was measured once, and its spread is not known. Stages of "
        f"less than {NEGLIGIBLE:.0%} before and now are left out."
    )


def _value(name: str, figure: Figure) -> str:
    if name in MEMORY:
        return _bytes(figure.median)
    return f"{_milliseconds(figure.median)} ms{_spread(figure)}"


def _ratio(one: Ratio) -> str:
    return "" if one.ratio is None else f"{one.ratio:.2f}"


def _share(measured: Measured, stage: str, profile: str) -> str:
    figure = measured.stages.get(stage)
    if figure is None:
        return f"not part of `{profile}`"
    total = sum(one.median for one in measured.stages.values() if one is not None)
    return f"{_milliseconds(figure.median)} ({figure.median / total:.0%})"


def _rate(wall: Figure) -> float:
    return 1000 / wall.median


def _spread(figure: Figure) -> str:
    if len(figure.values) == 1:
        return ""
    return f" ({_milliseconds(figure.low)}–{_milliseconds(figure.high)})"


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def _bytes(value: float) -> str:
    return f"{value / 2**20:.0f} MiB"


def plural(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _device(machine: Machine) -> str:
    return machine.gpu or ("the CPU" if machine.device == "cpu" else machine.device)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown of rows, the first of which are the heads."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---" + "|---:" * (len(rows[0]) - 1) + "|")
    return "\n".join(lines)
