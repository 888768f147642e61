"""A chart as a file of its own: an SVG with its title and legend, for places that show pictures and no pages.

A page has its colours from a style sheet, which a picture in a README does not have. So the colours, the title and the
legend go into the file, and a background, since it may be shown on a dark page.
"""

from html import escape

from components.shared.pages.blocks import Chart
from components.shared.pages.charts.text import text_width

# The colours of the page in daylight: a picture does not know what it is shown on, so it brings its paper along.
_COLOURS = {
    "muted": "#5a6470", "rule": "#dfe3e8", "series-1": "#2f6fb0", "series-2": "#c2571a", "series-3": "#2e7d5b",
    "series-4": "#7a55a6", "series-5": "#b8446e", "series-6": "#66717d", "heat-high": "#2f6fb0", "heat-low": "#c2571a",
}  # fmt: skip
_PAPER, _INK = "#ffffff", "#1c2127"
_EDGE, _TITLE, _LEGEND, _KEY = 16, 28, 24, 28  # pixels
_LETTERS = 13


def picture(chart: Chart) -> str:
    """The SVG of a chart.

    Args:
        chart: As the functions of `charts` draw it.
    """
    top = _EDGE + _TITLE + (_LEGEND if chart.legend else 0)
    width, height = chart.width + 2 * _EDGE, chart.height + top + _EDGE
    variables = "; ".join(f"--{name}: {colour}" for name, colour in _COLOURS.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(chart.alt)}" font-family="system-ui, sans-serif" style="{variables}; '
        f'color: {_INK}">\n<rect width="{width}" height="{height}" fill="{_PAPER}"/>\n'
        f'<text x="{_EDGE}" y="{_EDGE + 14}" font-size="15" font-weight="600" fill="{_INK}">{escape(chart.title)}'
        f"</text>\n{_legend(chart)}\n"
        f'<g transform="translate({_EDGE} {top})" stroke-linejoin="round">{chart.svg}</g>\n</svg>\n'
    )


def _legend(chart: Chart) -> str:
    drawn, x, y = [], float(_EDGE), _EDGE + _TITLE + 6
    for entry in chart.legend:
        dash = f' stroke-dasharray="{entry.dash}"' if entry.dash else ""
        drawn.append(
            f'<line x1="{x:.0f}" x2="{x + _KEY - 6:.0f}" y1="{y - 4}" y2="{y - 4}" stroke-width="3" '
            f'stroke="{_COLOURS[f"series-{entry.colour}"]}"{dash}/><text x="{x + _KEY:.0f}" y="{y}" '
            f'font-size="{_LETTERS}" fill="{_COLOURS["muted"]}">{escape(entry.name)}</text>'
        )
        x += _KEY + text_width(entry.name, _LETTERS) + 18
    return "\n".join(drawn)
