"""Words of customers, to be compared with known ones."""

import re

PLAIN = str.maketrans(
    "áàâãäåéèêëíìîïóòôõöøúùûüçñÿةأإآى", "aaaaaaeeeeiiiioooooouuuucnyهاااي"
) | str.maketrans({"ß": "ss", "œ": "oe"})
"""Letters with accents and variants, and the same without."""


def fold(text: str) -> str:
    """The text in lower case without accents; everything but letters and digits is a space."""
    # Vowel marks of Arabic and Hebrew are part of a word.
    bare = re.sub("[\u0591-\u05c7\u064b-\u065f]", "", text.lower().translate(PLAIN))
    return "".join(each if each.isalnum() or each == "ー" else " " for each in bare)
