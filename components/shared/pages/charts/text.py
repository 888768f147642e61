"""How wide text is in a drawing, and how long text is shortened to fit: nothing here can measure a font."""

import unicodedata

LETTER = 0.58  # Mean width of a letter, in units of its size.
CAPITAL = 0.3  # How much wider capital letters are.
LONGEST_LABEL = 26


def width_in_letters(text: str) -> int:
    """Return the width of a text in letters; East Asian letters and pictures take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def text_width(text: str, letters: int) -> float:
    """Return the width of a text in pixels, roughly."""
    return (width_in_letters(text) + CAPITAL * sum(letter.isupper() for letter in text)) * letters * LETTER


# Example: `a-very-long-column-name-2013` in 11 letters is `a-ver…-2013`.
def shorten(text: str, limit: int) -> str:
    """Cut the middle out of a long text: what tells two long names apart is often at their ends."""
    text = " ".join(text.split())
    if width_in_letters(text) <= limit:
        return text
    half = max(1, (limit - 1) // 2)
    return f"{_cut(text, half)}…{_cut(text[::-1], half)[::-1]}"


def _cut(text: str, limit: int) -> str:
    while width_in_letters(text) > limit:
        text = text[: max(limit, 1)] if len(text) > max(limit, 1) else text[:-1]
    return text
