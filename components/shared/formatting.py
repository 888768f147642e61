"""Numbers, times and limits as text for people: the one place that says how they are written.

Pages, messages of the stages and lines of the terminal read alike because all of them write with these functions. A
limit is written as it was given, and a value that is held against it as exactly as the two differ: rounded like other
numbers, a limit of 0.9999 would read `>99.9%`, and a value just short of 0.9 would be "0.9, at least 0.9".
"""

import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from numbers import Integral, Real

_MISSING = "–"
_MOST_DIGITS = 17  # that tell one float from the next


def format_number(x: object, digits: int = 4) -> str:
    """Write a number for a reader: thousands grouped, `digits` significant digits, no trailing zeros.

    Args:
        x: An int, float, Decimal, bool, NumPy scalar or None.
        digits: Significant digits kept after rounding; whole numbers below 1e15 keep all of theirs.

    Returns:
        Text such as `336,776`, `0.8123`, `1.5e-7`, `NaN`, `∞`, or `–` for None.

    Raises:
        ValueError: `digits` is below 1, or `x` is no number.
    """
    if digits < 1:
        raise ValueError(f"digits: expected at least 1, found {digits}")
    if x is None:
        return _MISSING
    if is_bool(x):
        return "yes" if x else "no"
    if isinstance(x, Integral):
        return f"{int(x):,}" if abs(int(x)) < 10**15 else _scientific(Decimal(int(x)), digits)
    if isinstance(x, Real | Decimal):
        return _format_real(float(x), digits)
    raise ValueError(f"expected a number or None, found {type(x).__name__}: {str(x)[:80]!r}")


def format_count(n: float | None) -> str:
    """Write a whole number with its thousands grouped, `–` for None; fractions are rounded."""
    return format_number(n if n is None or not math.isfinite(n) else round(n))


def format_quantity(n: int, what: str) -> str:
    """Write how many of something there are: `1 retraining`, `1,200 retrainings`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def format_share(x: float | None, digits: int = 1) -> str:
    """Write a share of 1 as a percentage with `digits` decimals; only exactly 0 and 1 read as 0% and 100%."""
    if x is None or not math.isfinite(x):
        return format_number(x)
    smallest = 10.0**-digits
    percent = f"{x * 100:,.{digits}f}"
    rounded = float(percent.replace(",", ""))
    if x > 0 and rounded == 0:
        return f"<{smallest:.{digits}f}%"
    if x < 1 and rounded == 100:
        return f">{100 - smallest:.{digits}f}%"
    percent = percent.rstrip("0").rstrip(".") if "." in percent else percent
    return f"{'0' if percent == '-0' else percent}%"


def format_duration(seconds: float | None) -> str:
    """Write a time span given in seconds: `420 µs`, `12 ms`, `8.4 s`, `2 min 05 s`, `1 h 02 min`, `3 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return format_number(seconds)
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    for limit, scale, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if 0 < seconds < limit and round(seconds * scale) < 1000:
            return f"{format_number(seconds * scale, 3)} {unit}"
    if round(seconds, 1) < 60:
        return f"{format_number(round(seconds, 1), 3)} s"
    return _long_duration(round(seconds))


def format_value(value: object) -> str:
    """Write any cell: numbers by `format_number`, times in ISO form, None as `–`, everything else by `str`."""
    if value is None or is_bool(value) or isinstance(value, Real | Decimal):
        return format_number(value)
    if isinstance(value, timedelta):
        return format_duration(value.total_seconds())
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return value.isoformat() if isinstance(value, date) else str(value)


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


def is_bool(value: object) -> bool:
    """Tell Python's and NumPy's booleans, without importing NumPy."""
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")


def _format_real(x: float, digits: int) -> str:
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "∞" if x > 0 else "-∞"
    if x == 0:
        return "0"
    if not 1e-4 <= abs(x) < 1e15:
        return _scientific(Decimal(x), digits)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(x))))
    text = f"{x:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def _scientific(x: Decimal, digits: int) -> str:
    """Write `1.5e-7`; a Decimal, because an int may be beyond a float's range."""
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def _long_duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min {seconds % 60:02d} s"
    if hours < 24:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{days:,} d {hours % 24} h"
