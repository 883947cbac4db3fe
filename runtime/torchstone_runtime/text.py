"""Names that come from outside and are shown to people."""

import unicodedata

_UNSHOWABLE = frozenset({"Cc", "Cs"})


def is_showable(text: str) -> bool:
    """Return whether text holds neither control characters, which could steer a terminal, nor lone surrogates.

    Lone surrogates (Python's stand-in for bytes that are not UTF-8) cannot be written to any UTF-8 file.
    """
    return not any(unicodedata.category(character) in _UNSHOWABLE for character in text)


def showable(text: str) -> str:
    """Return text with its control characters and lone surrogates written as escapes, so that any terminal is safe."""
    if is_showable(text):
        return text
    return "".join(one if is_showable(one) else one.encode("unicode_escape").decode() for one in text)
