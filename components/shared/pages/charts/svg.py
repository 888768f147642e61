"""From Matplotlib's SVG to that of the page.

Colours become the page's CSS variables here, which is how one drawing serves light and dark. Text never reaches
Matplotlib, which would read `$` as mathematics and warn of letters its font lacks: it sees a token, and the text
replaces that here.
"""

import re
from collections.abc import Mapping
from xml.etree import ElementTree

# Colours as Matplotlib writes them, and what they become; the fallback serves a drawing outside a page.
INK, MUTED, RULE, HIGH, LOW = "#010101", "#020202", "#030303", "#040404", "#050505"
SERIES = ("#110000", "#220000", "#330000", "#440000", "#550000", "#660000")
_CSS = {INK: "currentColor", MUTED: "var(--muted, #78828d)", RULE: "var(--rule, #a0a8b066)"} | {
    HIGH: "var(--heat-high, #2f6fb0)",
    LOW: "var(--heat-low, #c2571a)",
}
_CSS |= {token: f"var(--series-{number}, #5b8fc7)" for number, token in enumerate(SERIES, 1)}


def clean_svg(svg: str, texts: Mapping[str, tuple[str, str]]) -> str:
    """Return the drawing's elements alone, with the page's colours, the real texts, and nothing that names an id."""
    root = ElementTree.fromstring(svg.split("?>", 1)[1])  # noqa: S314 - Matplotlib wrote it
    drawn = [_clean(element, texts) for element in root.iter() if element.tag.endswith(("}path", "}text"))]
    return "".join(ElementTree.tostring(element, encoding="unicode") for element in drawn if element.get("d") != "")


def _clean(element: ElementTree.Element, texts: Mapping[str, tuple[str, str]]) -> ElementTree.Element:
    kept = ElementTree.Element(element.tag.split("}")[1])
    for name in ("d", "x", "y", "transform"):
        value = element.get(name, "")
        if value and not value.startswith("rotate(-0 "):
            kept.set(name, re.sub(r"-?\d+\.\d+", _rounded, " ".join(value.split())))
    kept.set("style", _clean_style(element.get("style", "")))
    if element.text and element.text.strip():
        _fill_text(kept, *texts[element.text.strip()])
    return kept


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _clean_style(style: str) -> str:
    rules = dict(rule.strip().split(": ", 1) for rule in style.split(";") if rule.strip())
    rules.pop("font-family", None)
    rules.pop("stroke-linejoin", None)
    return "; ".join(f"{name}: {_CSS.get(value, value)}" for name, value in rules.items())


def _fill_text(element: ElementTree.Element, short: str, full: str) -> None:
    """Set the text, and the whole of a shortened one as its tooltip."""
    element.text = _printable(short)
    if short != full:
        ElementTree.SubElement(element, "title").text = _printable(full)


def _printable(text: str) -> str:
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
