"""The report on effort as a page: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from backend.evaluation.effort import GOALS, TARGET_IOU, TARGET_SHARE, Run
from backend.evaluation.effort_chart import mean_chart, small_charts
from backend.evaluation.effort_report import LOOKS, headline, keyframes, ratio, scope, summary, unit
from backend.evaluation.effort_results import Correction, Effort, Runs, correction, figures
from backend.evaluation.effort_sequences import KEYTRACK, LINEAR, REPROMPT, WAYS

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5d6779; --line: #e3e7ee;
  --ground: #fff; --panel: #f7f8fa; LIGHT }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf1; --soft: #9aa4b5; --line: #2c3442; --ground: #12161d; --panel: #191f29; DARK }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1 { font-size: clamp(1.9rem, 4.5vw, 3rem); line-height: 1.12; letter-spacing: -0.02em; margin: 0 0 .8rem;
  text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 3rem 0 .8rem; }
.eyebrow { color: var(--soft); font-size: .85rem; margin: 0 0 .6rem; }
.lead { font-size: 1.12rem; max-width: 46rem; margin: 0 0 .6rem; }
.missing { border-left: 4px solid var(--linear); background: var(--panel); padding: .7rem 1rem; margin: 1.2rem 0; }
.note { color: var(--soft); font-size: .88rem; max-width: 50rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; margin: 1.8rem 0 0; }
.card { background: var(--panel); border-top: 4px solid var(--way); border-radius: 4px; padding: .9rem 1.1rem; }
.card b { display: block; font-size: 2rem; line-height: 1.2; font-variant-numeric: tabular-nums; color: var(--way); }
.card span { color: var(--soft); font-size: .88rem; }
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.6rem 1.8rem; }
.small figcaption { display: flex; justify-content: space-between; font-weight: 600; font-size: .95rem; gap: 1rem;
  overflow-wrap: anywhere; }
.small figcaption span { color: var(--soft); font-weight: 400; white-space: nowrap; }
.scroll { overflow-x: auto; } .wide svg { min-width: 40rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 8rem; overflow-wrap: break-word; }
thead th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
thead tr:first-child th { border-bottom: 0; padding-bottom: 0; color: var(--ink); }
tbody tr:last-child > * { border-bottom: 0; border-top: 2px solid var(--soft); font-weight: 700; }
.first { border-left: 1px solid var(--line); }
td small { color: var(--soft); font-weight: 400; }
.keytrack { --way: var(--keytrack); } .linear { --way: var(--linear); } .reprompt { --way: var(--reprompt); }
thead th.keytrack, thead th.linear, thead th.reprompt { color: var(--way); }
.curve { fill: none; stroke: var(--way); stroke-linejoin: round; stroke-linecap: round; }
.stem { stroke: var(--way); stroke-dasharray: 3 3; }
.diamond { fill: var(--way); stroke: var(--ground); stroke-width: 1.5; }
.label { fill: var(--way); stroke: var(--ground); stroke-width: 5; paint-order: stroke; stroke-linejoin: round; }
.grid { stroke: var(--line); } .target { stroke: var(--soft); stroke-dasharray: 5 4; }
.tick { fill: var(--soft); }
ul { padding-left: 1.2rem; max-width: 50rem; } li { margin: .35rem 0; }
@media print { body { font-size: 12px; } main { max-width: none; padding: 0; } figure, tr { break-inside: avoid; } }
"""


def page(effort: Effort) -> str:
    """The page: the headline, the curves, a table, and how it was measured. Light or dark as the reader's system is."""
    notes = "".join(f"<br>{escape(name)} is missing: {escape(reason)}" for name, reason in effort.missing.items())
    missing = f'<p class="missing" role="note"><b>Incomplete.</b>{notes}</p>' if notes else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(headline(effort))}</title>
<style>{_style()}</style>
</head>
<body>
<main>
<p class="eyebrow">Keytrack {escape(effort.version)}: annotator effort</p>
<h1>{escape(headline(effort))}</h1>
<p class="lead">{escape(summary(effort))}</p>
<p class="note">{escape(scope(effort))}</p>
{missing}
{_cards(effort)}
<h2>Mean box IoU over all objects</h2>
{mean_chart(effort)}
<h2>Each sequence, by {unit(effort)} per object</h2>
<div class="small">
{small_charts(effort)}
</div>
<h2>In numbers</h2>
<div class="scroll">
{_table(effort)}
</div>
{_table_note(effort)}
<h2>What a correction costs the computer</h2>
<div class="scroll">
{_compute(effort)}
</div>
<p class="note">A full pass is what the first mark alone costs, with every frame encoded before. The figures are medians
over corrections: the frames that the tracker went through, and the seconds, as a share of the full pass of the same
object. Linear interpolation costs nothing.</p>
<h2>How it was measured</h2>
{_method(effort)}
</main>
</body>
</html>
"""


def _style() -> str:
    light = " ".join(f"--{way}: {look.light};" for way, look in LOOKS.items())
    dark = " ".join(f"--{way}: {look.dark};" for way, look in LOOKS.items())
    return _STYLE.replace("LIGHT", light).replace("DARK", dark)


def _cards(effort: Effort) -> str:
    found = figures(effort.objects, "mean")
    cards = "".join(
        f'<div class="card {way}">{look.name}<b>{keyframes(found, way)}</b>'
        f"<span>{unit(effort)} per object per 100 frames</span></div>\n"
        for way, look in LOOKS.items()
    )
    return f'<div class="cards">\n{cards}</div>'


def _table(effort: Effort) -> str:
    heads = "".join(
        f'<th class="{way}{" first" * (way == WAYS[0])}" scope="col">{look.short}</th>' for way, look in LOOKS.items()
    )
    heads += '<th scope="col">ratio</th>'
    rows = [(escape(sequence.name), sequence.frames, list(sequence.objects.values())) for sequence in effort.sequences]
    rows.append(("All objects", sum(sequence.frames for sequence in effort.sequences), effort.objects))
    body = "".join(
        f'<tr><th scope="row">{name}</th><td>{frames}</td><td>{len(objects)}</td>{_numbers(objects)}</tr>\n'
        for name, frames, objects in rows
    )
    return f"""<table>
<thead>
<tr><th></th><th></th><th></th><th class="first" colspan="4" scope="colgroup">mean IoU at least {TARGET_IOU}</th>
<th class="first" colspan="4" scope="colgroup">{TARGET_SHARE:.0%} of frames above {TARGET_IOU}</th></tr>
<tr><th scope="col">sequence</th><th scope="col">frames</th><th scope="col">objects</th>{heads}{heads}</tr>
</thead>
<tbody>
{body}</tbody>
</table>"""


def _numbers(objects: Sequence[Runs]) -> str:
    cells = []
    for found in (figures(objects, "mean"), figures(objects, "share")):
        cells += [f"<td{_first(way)}>{keyframes(found, way)}</td>" for way in WAYS]
        cells.append(f"<td>{ratio(found)}</td>")
    return "".join(cells)


def _first(way: str) -> str:
    return ' class="first"' if way == WAYS[0] else ""


def _table_note(effort: Effort) -> str:
    text = (
        f"{_capital(unit(effort))} per object per 100 frames. The ratio is linear interpolation's to Keytrack's. The "
        "last row is the mean over objects."
    )
    if any(run.reached(goal) is None for runs in effort.objects for run in runs.values() for goal in GOALS):
        text += " ≥ marks what a cap on interactions went into, since an object did not get there."
    return f'<p class="note">{text}</p>'


def _compute(effort: Effort) -> str:
    ways = (KEYTRACK, REPROMPT)
    groups = "".join(f'<th class="{way} first" colspan="3" scope="colgroup">{LOOKS[way].name}</th>' for way in ways)
    columns = ("altogether", "correction: frames", "seconds")
    heads = "".join(f'<th{" class=first" * (not i)} scope="col">{name}</th>' for i, name in enumerate(columns))
    rows = [(escape(sequence.name), list(sequence.objects.values())) for sequence in effort.sequences]
    rows.append(("All objects", effort.objects))
    body = ""
    for name, objects in rows:
        body += f'<tr><th scope="row">{name}</th>'
        for way in ways:
            runs = [found[way] for found in objects]
            body += f'<td class="first">{_spent(runs)}</td>{_shares(correction(runs))}'
        body += "</tr>\n"
    return f"""<table>
<thead>
<tr><th></th>{groups}</tr>
<tr><th scope="col">sequence</th>{heads}{heads}</tr>
</thead>
<tbody>
{body}</tbody>
</table>"""


def _spent(runs: Sequence[Run]) -> str:
    steps = [step for run in runs for step in run.steps]
    return f"{sum(step.propagated for step in steps)} frames <small>{sum(step.seconds for step in steps):.0f} s</small>"


def _shares(cost: Correction) -> str:
    return "".join(f"<td>{'–' if part is None else f'{part:.0%}'}</td>" for part in (cost.frames, cost.seconds))


def _method(effort: Effort) -> str:
    rules = effort.rules
    if rules.by == "box":
        how = "draws the true box there. A box is one interaction and one keyframe."
    else:
        how = (
            "clicks on the object there, and on what is still wrong, until its box is good. A click is an interaction. "
            "Where clicks make out nothing, and with linear interpolation, it draws the box instead."
        )
    cap = "as many interactions as the object has frames" if rules.most is None else f"{rules.most} interactions"
    items = [
        "The robot draws a box round the object where it first shows, looks at every frame as Label Studio shows it, "
        f"goes to the worst one that it has not marked, and {how}",
        f"It goes on until the mean IoU of the boxes is at least {TARGET_IOU} and {TARGET_SHARE:.0%} of the frames are "
        f"above {TARGET_IOU}, or for {cap}; an object that did not get there counts with that number.",
        "The true box is the tight one round the true mask. Compared with it is what Label Studio shows: the track, "
        f"thinned to keyframes (IoU {rules.keyframe_iou:g}) with the robot's own fixed, and interpolated by its rules.",
        "Where the object does not show, the IoU is 1 if nothing is shown and 0 otherwise. The robot corrects that by "
        "ending the visible span at the last frame that shows the object; deleting a keyframe of the model in the gap "
        "is an interaction more.",
        f"<b>{LOOKS[KEYTRACK].name}</b> tracks everything again at each correction, forwards and backwards, with all "
        f"marks in memory. <b>{LOOKS[LINEAR].name}</b> is Label Studio's own: straight lines between keyframes, and "
        f"the last one's box to the end. <b>{LOOKS[REPROMPT].name}</b> tracks from each mark to the next, knowing that "
        "mark alone.",
        "Objects are annotated one after the other, each tracked alone.",
    ]
    return "<ul>\n" + "".join(f"<li>{item}</li>\n" for item in items) + "</ul>"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
