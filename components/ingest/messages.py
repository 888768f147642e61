"""What the table engine says, in a line that says something."""

import re

_EMPTY = re.compile(r"(Invalid Input|Conversion|IO|Binder|Catalog|Parser) Error: ?|CSV Error on Line: \d+")
_ENDS = ("Possible", "file =", "LINE ", "  ")
_MOST_LINES = 4
_MOST_CHARACTERS = 300


def readable_message(message: str) -> str:
    """An unforeseen message without its headings, its advice on the engine's own settings and its drawings."""
    lines: list[str] = []
    for line in message.splitlines():
        if lines and line.startswith(_ENDS):
            break
        if text := _EMPTY.sub("", line).strip():
            lines.append(text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…")
    text = " ".join(lines[:_MOST_LINES]) or message.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
