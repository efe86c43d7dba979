"""Latency over time as SVG: a panel for each case, all on the same axes, readable on light and dark pages."""

import math
from html import escape

WIDTH, LEFT, RIGHT, TOP = 880, 58, 14, 46
PANEL, HEAD, STRIP, GAP = 104, 20, 9, 14
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.page { fill: #ffffff }
.title { font-weight: 600 }
.tick { font-size: 10px; fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1; fill: none }
.answered { stroke: #0969da; stroke-width: 2; stroke-linecap: round; fill: none }
.failed { stroke: #d1242f; stroke-width: 2; fill: none }
.reload { stroke: #59636e; stroke-width: 1; stroke-dasharray: 3 2; fill: none }
.reloading { fill: #8c959f; fill-opacity: 0.18 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .page { fill: #0d1117 }
  .tick { fill: #9198a1 }
  .grid { stroke: #2f353d }
  .answered { stroke: #58a6ff }
  .failed { stroke: #ff7b72 }
  .reload { stroke: #9198a1 }
}
"""


def label(value):
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


class Axes:
    """Seconds to x and milliseconds to y below a panel's top; decades from the fastest to the slowest request."""

    def __init__(self, seconds, latencies):
        self.seconds = seconds
        self.low = math.floor(math.log10(min(latencies)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(latencies))))

    def x(self, second):
        return LEFT + second / self.seconds * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEAD + STRIP + (self.high - math.log10(value)) / (self.high - self.low) * (PANEL - HEAD - STRIP)

    def decades(self):
        return [10**power for power in range(self.low, self.high + 1)]

    def ticks(self):
        return range(0, round(self.seconds) + 1, 5)


def _grid(axes):
    for value in axes.decades():
        y = axes.y(value)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="tick" x="{LEFT - 6}" y="{y + 3:.1f}" text-anchor="end">{label(value)}</text>'


def _marks(axes, requests, reloads):
    for began, ended in reloads:
        left, width = axes.x(began), axes.x(ended) - axes.x(began)
        yield f'<rect class="reloading" x="{left:.1f}" y="{HEAD}" width="{width:.1f}" height="{PANEL - HEAD}"/>'
        yield f'<path class="reload" d="M{left:.1f} {HEAD}V{PANEL}"/>'
    # Thousands of requests lie on the same pixel; each pixel is drawn once.
    dots = {(round(axes.x(one.planned)), round(axes.y(one.latency * 1000))) for one in requests if not one.problem}
    yield '<path class="answered" d="' + "".join(f"M{x} {y}h0" for x, y in sorted(dots)) + '"/>'
    failed = sorted({round(axes.x(one.planned)) for one in requests if one.problem})
    if failed:
        yield f'<path class="failed" d="{"".join(f"M{x} {HEAD}v{STRIP}" for x in failed)}"/>'


def _panel(axes, case, top):
    title, note, requests, reloads = case
    yield f'<g transform="translate(0 {top})">'
    yield f'<text class="title" x="{LEFT}" y="{HEAD - 7}">{escape(title)}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEAD - 7}" text-anchor="end">{escape(note)}</text>'
    yield from _grid(axes)
    yield from _marks(axes, requests, reloads)
    yield "</g>"


def _legend():
    y = 22
    yield f'<path class="answered" style="stroke-width: 5" d="M{LEFT + 3} {y}h0"/>'
    yield f'<text x="{LEFT + 12}" y="{y + 4}">an answer: latency, log scale</text>'
    yield f'<path class="failed" d="M{LEFT + 203} {y - 5}v10"/>'
    yield f'<text x="{LEFT + 211}" y="{y + 4}">a failed request</text>'
    yield f'<rect class="reloading" x="{LEFT + 330}" y="{y - 6}" width="24" height="12"/>'
    yield f'<path class="reload" d="M{LEFT + 330} {y - 6}v12"/>'
    yield f'<text x="{LEFT + 361}" y="{y + 4}">the command runs</text>'


def svg(cases, seconds):
    """The picture. ``cases``: (title, note, requests, [(began, ended), ...]) each."""
    latencies = [one.latency * 1000 for case in cases for one in case[2] if not one.problem]
    axes = Axes(seconds, latencies)
    height = TOP + len(cases) * (PANEL + GAP) + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        *_legend(),
    ]
    for number, case in enumerate(cases):
        lines += _panel(axes, case, TOP + number * (PANEL + GAP))
    lines += [
        f'<text class="tick" x="{axes.x(second):.1f}" y="{height - 14}" text-anchor="middle">{second} s</text>'
        for second in axes.ticks()
    ]
    return "\n".join([*lines, "</svg>"]) + "\n"
