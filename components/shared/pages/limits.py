"""Limits and what is held against them, for people: a limit as it was written, a value as exactly as the two differ.

Rounded like other numbers, a limit of 0.9999 reads `>99.9%`, and a value just short of 0.9 is "0.9, at least 0.9".
"""

import math
from decimal import Decimal

from components.shared.pages.reports import format_number

_MOST_DIGITS = 17  # that tell one float from the next


def format_limit(limit: float, *, share: bool = False) -> str:
    """Write a limit with all of its digits, such as `0.0005`, or as a share of 1 such as `99.99%`."""
    if not math.isfinite(limit):
        return format_number(limit)
    exact = (Decimal(repr(float(limit))) * (100 if share else 1)).normalize()
    text = f"{exact:,f}" if -9 < exact.adjusted() < 15 else f"{exact:e}"
    return f"{text}%" if share else text


def format_against(value: float, limit: float, *, share: bool = False, digits: int = 4) -> str:
    """Write a value that is held against a limit: so many digits that it does not read as the limit, unless it is.

    Args:
        value: What was found.
        limit: What it is held against.
        share: Whether both are shares of 1, to be read in percent.
        digits: Significant digits where they suffice.
    """
    if not math.isfinite(value) or value == limit:
        return format_limit(value, share=share)
    taken = [format_limit(limit, share=share).rstrip("%")]
    taken += [end for end, exact in (("0", 0.0), ("100", 1.0)) if share and value != exact]
    texts = (format_number(value * 100 if share else value, count) for count in range(digits, _MOST_DIGITS + 1))
    text = next((text for text in texts if text not in taken), repr(value * 100 if share else value))
    return f"{text}%" if share else text
