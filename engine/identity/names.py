"""Names that people read: no invisible characters, no mixed scripts, and one key for names that look alike."""

import re
import unicodedata

from core.errors import Conflict

# Letters of other scripts, and digits, that can be taken for a Latin letter, after casefolding.
_LOOKALIKES = str.maketrans(
    {
        **dict(zip("01", "ol", strict=True)),
        **dict(zip("абвгеёзикмнорстухьѕіјһԁԛԝѵ", "a6bree3nkmhopctyxbsijhdqwv", strict=True)),
        **dict(zip("αβγεηικμνορτυχωϲϳ", "abyenikuvoptuxwcj", strict=True)),
        **dict(zip("աօսցհոռյ", "wougnnnj", strict=True)),
        "\u0131": "i",
        "\u0237": "j",
        "\u017f": "s",
        "\u0261": "g",
        "\u0251": "a",
        "|": "l",
        "\u2010": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u2019": "'",
        "\u02bc": "'",
    }
)
# Scripts that are written together.
_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
)
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANKS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u034f")  # letters and marks that show nothing
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180f]")

SEEN = r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$"
"""Pattern of a request's names: the invisible characters that one pattern can name on every face."""

EMAIL = (
    r"^[^@\s\u0000-\u0020\u007f-\u00a0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]{1,64}"
    r"@[A-Za-z0-9]([A-Za-z0-9.-]{0,180}[A-Za-z0-9])?$"
)


def checked_name(text: str, what: str) -> str:
    """The name as it is stored, NFKC. Raises Conflict where it could be taken for another or shows nothing."""
    name = " ".join(unicodedata.normalize("NFKC", text).split())
    if not name or not any(unicodedata.category(char)[0] in "LN" for char in name):
        raise Conflict(f"The name of {what} shows nothing to read.", hint="Give it letters or digits.")
    for char in name:
        if unicodedata.category(char) in _FORBIDDEN or char in _BLANKS or _SELECTORS.match(char):
            raise Conflict(
                f"The name of {what} holds a character that cannot be seen (U+{ord(char):04X}).",
                hint="Type the name again, without copying it.",
            )
    scripts = {found for char in name if (found := _script(char))}
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        raise Conflict(
            f"The name of {what} mixes {' and '.join(sorted(scripts)).lower()} letters.",
            hint="Write it in one script, so that it cannot be taken for another name.",
        )
    if any(map(_is_stacked, name, name[1:], name[2:], name[3:])):
        raise Conflict(f"The name of {what} stacks marks on a letter.", hint="Leave them out.")
    return name


def name_key(name: str) -> str:
    """Equal for names that look alike: case, width and letters of other scripts make no difference."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFC", folded).translate(_LOOKALIKES)[:255]


def login_key(text: str) -> str:
    """Equal for addresses and login names that mean the same."""
    return unicodedata.normalize("NFKC", text.strip()).casefold()[:255]


def checked_email(text: str) -> str:
    """The address as it is stored. Raises Conflict."""
    if not text.isascii():
        checked_name(text.partition("@")[0], "an e-mail address")
    return unicodedata.normalize("NFKC", text)


def _script(char: str) -> str:
    """The script of a letter, as its Unicode name says; nothing for what belongs to all."""
    if not char.isalpha():
        return ""
    if char.isascii():
        return "LATIN"
    word = unicodedata.name(char, "UNKNOWN").split()[0].partition("-")[0]
    return "" if word in ("MODIFIER", "FEMININE", "MASCULINE", "MICRO", "OHM", "KELVIN") else word


def _is_stacked(*chars: str) -> bool:
    return all(unicodedata.combining(char) for char in chars[1:])
