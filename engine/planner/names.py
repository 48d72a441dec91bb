"""Names of tables and columns as words: without what all share, abbreviations written out."""

from collections import Counter

from engine.planner.words import Cues

LABELS = ("name", "title", "label", "symbol", "username", "description")
SHARED_BY = 3  # tables or columns that begin alike before what they share counts as a prefix


def without_initial(words: tuple[str, ...], table: tuple[str, ...]) -> tuple[str, ...]:
    """`name` of `sname` in a table of students."""
    for label in LABELS:
        if len(words) == 1 and table and words[0] == table[0][:1] + label:
            return (label,)
    return words


def spelled(words: tuple[str, ...], cues: Cues) -> tuple[str, ...]:
    """A name with its abbreviations written out."""
    if len(words) > 1 and words[-1] in ("no", "nr"):
        words = (*words[:-1], "number")
    return tuple(cues.abbreviations.get(word, word) for word in words)


def shared_lead(names: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Words that nearly all names begin with, as `sb_tx` in `sbTxId`, `sbTxDate`."""
    lead: tuple[str, ...] = ()
    while len(names) >= SHARED_BY:
        following = Counter(
            name[len(lead)] for name in names if name[: len(lead)] == lead and len(name) > len(lead) + 1
        )
        best = following.most_common(1)
        if not best or best[0][1] < 0.9 * len(names):
            break
        lead = (*lead, best[0][0])
    return lead
