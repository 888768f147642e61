"""Phrases that several sections of the card use."""

from components.shared.formatting import format_count


def columns_text(count: int) -> str:
    """A number of columns in words, such as `1 column`."""
    return "1 column" if count == 1 else f"{format_count(count)} columns"


def rows_text(count: int) -> str:
    """A number of rows in words, such as `1,204 rows`."""
    return "1 row" if count == 1 else f"{format_count(count)} rows"
