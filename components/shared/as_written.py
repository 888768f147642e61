"""Values of the configuration and values of the data, compared as they are spelled.

YAML has types of its own: `positive: 1` is a number though the table holds texts, `'1'` a text though it holds numbers,
and `true` is neither. What a person wrote means the value that is spelled so, whatever its type is.
"""

import unicodedata

Value = bool | int | float | str

# What YAML 1.1 reads as true and as false when it stands without quotes.
_WORDS = {True: ("true", "yes", "on"), False: ("false", "no", "off")}


def accepted_spellings(value: Value) -> frozenset[str]:
    """Every text that may be meant by a value.

    Args:
        value: A label, or what the configuration names.

    Returns:
        A text itself, in Unicode's composed form; a whole number without a fraction, however it is held; for true and
        false each word that YAML takes for it, in the cases that YAML knows.
    """
    if isinstance(value, bool):
        return frozenset(case for word in _WORDS[value] for case in (word, word.capitalize(), word.upper()))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return frozenset({composed(str(value))})


def composed(text: str) -> str:
    """A text in Unicode's composed form (NFC), in which ü is one character."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
