"""How the values of a column are spelled: what means no value, how numbers and times are written.

A number's pattern is a regular expression that Python and the table engine (RE2) read alike, so that a file is read as
its first lines were judged.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Literal

Unit = Literal["", "s", "ms", "us", "ns"]

PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_SPACES = " \u00a0\u202f"  # plain, no-break and narrow no-break: people type one, programs write another
_SPACE = f"[\t{_SPACES}]*"
_ALIKE = {" ": f"[{_SPACES}]", "'": "['’]"}


@dataclass(frozen=True)
class Spelling:
    """How a column is written.

    Attributes:
        nulls: Texts that mean no value.
        decimal: The decimal sign.
        thousands: The sign between groups of digits; empty for none.
        symbols: Texts that may stand before or after a number, such as `$`, `%` or `kg`.
        date_format: `strptime` format of dates and timestamps; empty for ISO 8601.
        unit: What one is in numbers that count from the start of 1970; empty when they are no times.
    """

    nulls: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    symbols: tuple[str, ...] = ()
    date_format: str = ""
    unit: Unit = ""

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as programs write them."""
        return self.decimal == "." and not self.thousands and not self.symbols

    @property
    def is_usual(self) -> bool:
        """Whether numbers and times are written as programs write them."""
        return self.is_plain and not self.date_format and not self.unit

    @cached_property
    def pattern(self) -> str:
        """What a whole text that spells a number matches; the groups 1 to 3 are its two signs and its digits."""
        decimal = re.escape(self.decimal)
        digits = "[0-9]+"
        if self.thousands:
            digits = f"(?:[0-9]{{1,3}}(?:{self.separator}[0-9]{{2,3}})*{self.separator}[0-9]{{3}}|[0-9]+)"
        number = rf"(?:{digits}(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        symbols = "|".join(re.escape(symbol) for symbol in sorted(self.symbols, key=len, reverse=True))
        before, after = (f"(?:(?:{symbols}){_SPACE})?", f"(?:{_SPACE}(?:{symbols}))?") if symbols else ("", "")
        return f"{_SPACE}([+-]?){before}([+-]?)({number}){after}{_SPACE}"

    @property
    def separator(self) -> str:
        """The sign between groups of digits, as a regular expression."""
        return _ALIKE.get(self.thousands, re.escape(self.thousands))

    # Example: with `,` as the decimal sign, `.` between groups of digits and the symbol `€`, `1.234,50 €` is 1234.50.
    def plain_number(self, text: str) -> str | None:
        """A number as programs write it, from a text that spells one; None when it spells none."""
        match = _compiled(self.pattern).fullmatch(text)
        if match is None or (match[1] and match[2]):
            return None
        digits = re.sub(self.separator, "", match[3]) if self.thousands else match[3]
        return f"{match[1]}{match[2]}{digits.replace(self.decimal, '.')}"

    def moment(self, text: str) -> datetime | None:
        """The time that a text means by the unit or the format, in UTC where it says its zone; None for none.

        ISO 8601 is not looked for here.
        """
        try:
            if self.unit:
                return datetime(1970, 1, 1) + timedelta(seconds=float(text) / PER_SECOND[self.unit])
            return datetime.strptime(text, self.date_format) if self.date_format else None
        except (ValueError, OverflowError):
            return None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
