"""Draws the storm: requests a second over time, one panel for each fault, as plain SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import log10

from bench.storm.ledger import Run

WIDTH, PANEL, GAP = 900, 190, 46
LEFT, RIGHT, TOP = 54, 276, 64
FLOOR, CEILING = 0.1, 1_000.0
"""Requests a second at the lower and the upper edge; less, and nothing, lies on the floor."""
BUCKET = 2.0
"""Seconds that are averaged."""

STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .faint { fill: #59636e; }
  .rule { stroke: #d1d9e0; stroke-width: 1; }
  .fault { fill: #f6d5d2; }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
  .c0 { stroke: #0a7d5c; } text.c0 { fill: #0a7d5c; stroke: none; }
  .c1 { stroke: #c0361f; } text.c1 { fill: #c0361f; stroke: none; }
  .c2 { stroke: #8250df; } text.c2 { fill: #8250df; stroke: none; }
  text.c0, text.c1, text.c2 { font-weight: 600; }
  .ground { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .faint { fill: #9198a1; }
    .rule { stroke: #3d444d; }
    .fault { fill: #4a2326; }
    .c0 { stroke: #3fd6a4; } text.c0 { fill: #3fd6a4; }
    .c1 { stroke: #ff8672; } text.c1 { fill: #ff8672; }
    .c2 { stroke: #c8a6ff; } text.c2 { fill: #c8a6ff; }
    .ground { fill: #0d1117; }
  }
"""


def draw(runs: Sequence[Run], seconds: float) -> str:
    """The whole picture."""
    faults = list(dict.fromkeys(run.fault for run in runs))
    colours = {who: f"c{at % 3}" for at, who in enumerate(dict.fromkeys(run.who for run in runs))}
    end = max(run.ended for run in runs)
    height = TOP + len(faults) * (PANEL + GAP)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'role="img" aria-labelledby="title">'
        ),
        '<title id="title">Requests a second at the provider while it fails, by who asks</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        '<text class="title" x="16" y="26">Requests a second that reach a failing provider</text>',
        (
            f'<text class="faint" x="16" y="45">30 people ask when it breaks, for {seconds:.0f} s '
            "(shaded); its account may ask 100 times a minute. The scale is logarithmic.</text>"
        ),
    ]
    for at, fault in enumerate(faults):
        own = [run for run in runs if run.fault == fault]
        parts += _panel(own, colours, TOP + at * (PANEL + GAP) + 24, end)
    return "\n".join([*parts, "</svg>", ""])


def _panel(runs: Sequence[Run], colours: dict[str, str], top: float, end: float) -> Iterator[str]:
    right = WIDTH - RIGHT

    def x(at: float) -> float:
        return LEFT + (right - LEFT) * min(at / end, 1)

    def y(rate: float) -> float:
        height = log10(max(rate, FLOOR) / FLOOR) / log10(CEILING / FLOOR)
        return top + PANEL - 30 - (PANEL - 30) * min(height, 1)

    first = runs[0]
    bottom = y(0)
    yield (
        f'<rect class="fault" x="{x(first.broke):.1f}" y="{top}" '
        f'width="{x(first.mended) - x(first.broke):.1f}" height="{bottom - top:.1f}"/>'
    )
    yield f'<text class="title" x="{LEFT}" y="{top - 8}">{escape(first.fault)}</text>'
    for rate in (0.1, 1, 10, 100, 1000):
        yield f'<path class="rule" d="M{LEFT} {y(rate):.1f}H{right}"/>'
        label = "0" if rate == FLOOR else f"{rate:,g}"
        yield (
            f'<text class="faint" x="{LEFT - 8}" y="{y(rate) + 4:.1f}" '
            f'text-anchor="end">{label}</text>'
        )
    for minute in range(int(end // 60) + 1):
        yield (
            f'<text class="faint" x="{x(minute * 60):.1f}" y="{bottom + 16:.1f}" '
            f'text-anchor="middle">{minute} min</text>'
        )
    for at, run in enumerate(runs):
        colour = colours[run.who]
        yield f'<path class="line {colour}" d="{_steps(run, x, y)}"/>'
        word = top + 16 + at * 44
        yield f'<text class="{colour}" x="{right + 14}" y="{word}">{escape(run.who)}</text>'
        yield f'<text x="{right + 14}" y="{word + 16}">{_told(run)}</text>'


def _steps(run: Run, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    points = [f"M{x(0):.1f} {y(0):.1f}"]
    for at, rate in enumerate(run.a_second(BUCKET)):
        points.append(f"V{y(rate):.1f}H{x(min((at + 1) * BUCKET, run.ended)):.1f}")
    return "".join(points)


def _told(run: Run) -> str:
    answered = (
        f"all answered after {max(run.done) - run.broke:.0f} s"
        if len(run.done) == run.asked
        else f"{len(run.done)} of {run.asked} answered"
    )
    return f"{len(run.requests):,} requests, {answered}"
