"""What an answer leaves open: words that nothing stands for, totals that nothing sums up, verbs without an object."""

from itertools import pairwise

from engine.planner.elements import Element
from engine.planner.intent import Intent
from engine.planner.words import Cues, lemma_of

Doubt = tuple[str, float]
UNEXPLAINED = 0.55
"""What each word that nothing explains leaves of the confidence."""
JOINING_VERB, HANGING_VERB = 0.9, 0.72
"""A verb like `published` between things that are understood says little, one that nothing follows says more."""
HEDGED = 0.8
"""Of `still` or `already`, where nothing says what is in that state."""
STATE = 0.6
"""Of `are broken`, where nothing follows that it happens to."""
BEING = ("is", "are", "was", "were", "be", "been", "being")
UNGROUPED = 0.6
REACH = 5
ALIKE = 0.6
EACH = ("each", "every", "per", "for each", "for every", "of each", "in each", "in every", "by each", "at each")


def is_unexplained(element: Element, table: Cues) -> bool:
    """Whether a word that matters was not used by anything."""
    if element.is_used:
        return False
    if set(element.cues) & {"missing", "negation"}:  # what an answer may never leave out
        return True
    if not element.is_content:
        return False
    return not set(element.cues) & {"hedges", "group", "distinct", "names", "ids", "text"}


def doubts_of(elements: list[Element], intent: Intent, table: Cues) -> list[Doubt]:
    """Why a question may have meant more than was read, and what each reason leaves of the confidence."""
    found = [_word(elements, at, table) for at in range(len(elements)) if is_unexplained(elements[at], table)]
    hedges = [element for element in elements if "hedges" in element.cues and not element.is_used]
    if hedges and not any(item.operator in ("is_null", "not_null") for item in intent.conditions):
        found.append((f"{hedges[0].text} may mean a state or a time", HEDGED))
    return (
        found
        + _groups(elements, intent)
        + _alike(elements)
        + _totals(elements, intent)
        + _quantities(elements, intent)
        + _firsts(elements, intent)
    )


def _groups(elements: list[Element], intent: Intent) -> list[Doubt]:
    """`has every clerk`: what is asked of each, in an answer that has no groups."""
    left = [item.text for item in elements if item.text.lower() in EACH and not item.is_used]
    is_one = (intent.measures or intent.ratio) and not intent.dimensions and intent.nested is None
    return [(f"{left[0]} is not read", UNGROUPED)] if left and is_one else []


def _alike(elements: list[Element]) -> list[Doubt]:
    """`the same city as Ann`: what two things share, which is not planned."""
    words = [element.text.lower() for element in elements]
    for at, word in enumerate(words):
        if word == "same" and "as" in words[at + 1 : at + 1 + REACH] and not elements[at].is_used:
            return [("what is the same is not read", ALIKE)]
    return []


def _word(elements: list[Element], at: int, table: Cues) -> Doubt:
    word = elements[at].text
    if "toward" in elements[at].cues:
        return (f"{word} is left out", 1.0 if _has_object(elements, at) else UNEXPLAINED)
    before = elements[at - 1].text.lower() if at else ""
    is_verb = (
        "rate" not in elements[at].cues
        and word.islower()
        and "-" not in word
        and before not in ("a", "an", "the", "their", "our")
    )
    if not is_verb or (not word.endswith(("ed", "en", "ing")) and lemma_of(word) not in table.sets["verbs"]):
        return (f"nothing stands for {word}", UNEXPLAINED)
    if [item.text.lower() for item in elements[max(0, at - 2) : at]] == ["to", "be"]:
        return (f"{word} is left out", UNEXPLAINED)  # what needs to be done is a state
    if _has_object(elements, at):
        return (f"{word} is left out", STATE if _is_before_its_noun(elements, at, table) else JOINING_VERB)
    return (f"{word} is left out", STATE if before in BEING else HANGING_VERB)


def _is_before_its_noun(elements: list[Element], at: int, table: Cues) -> bool:
    """`How many cancelled flights` are fewer than flights; `who borrowed books` are those who did."""
    before, after = elements[at - 1] if at else None, elements[at + 1] if at + 1 < len(elements) else None
    if not elements[at].text.endswith(("ed", "en")) or after is None or not after.is_schema:
        return False
    return before is None or not (before.is_schema or before.values or before.text.lower() in table.sets["doers"])


def _has_object(elements: list[Element], at: int) -> bool:
    """Whether something that was understood follows a verb: `published in journals`, but not `leaving in 2026`."""
    for element in elements[at + 1 : at + 1 + REACH]:
        if element.sign in (".", "?", ";", ","):
            return False
        if element.is_used and not element.date and not element.is_ignored and "group" not in element.cues:
            return True
        if not (element.is_ignored or element.is_used):
            return False
    return False


def _totals(elements: list[Element], intent: Intent) -> list[Doubt]:
    """A total that nothing sums up, and a time of something that was not understood."""
    found: list[Doubt] = []
    sums = [item for item in intent.measures if item.aggregate in ("sum", "count")]
    totals = [item for item in elements if item.cues.get("aggregates") == "sum" and not item.is_used]
    if totals and (not sums or len(sums) < len(totals) or _is_added(totals[-1], elements, "and")):
        found.append((f"{totals[0].text} is not read", 0.8))
    return found


def _is_added(word: Element, elements: list[Element], joint: str) -> bool:
    """Whether a word stands in what a joint adds: `and for what total`."""
    return any(item.text.lower() == joint and item.end < word.start for item in elements)


def _firsts(elements: list[Element], intent: Intent) -> list[Doubt]:
    """A choice of the first few, or an order of one number, by what is not said."""
    found: list[Doubt] = []
    if intent.limit is not None and not intent.sorts and intent.nested is None:
        found.append(("by what the first are chosen is not read", 0.5))
    if intent.sorts and intent.measures and not intent.dimensions and intent.nested is None:
        found.append(("what is put in order is not read", 0.6))
    left = [item.text for item in elements if "superlatives" in item.cues and item.is_ignored and not item.is_used]
    if left and not intent.sorts and intent.nested is None:
        found.append((f"{left[0]} is not read", 0.6))
    return found


def _quantities(elements: list[Element], intent: Intent) -> list[Doubt]:
    """`How much` asks for a number."""
    asked = any(
        (one.text.lower(), other.text.lower()) == ("how", "much") and not other.is_used
        for one, other in pairwise(elements)
    )
    columns = [item.column for item in intent.dimensions]
    shown = [item for item in columns if item.family == "number" and not item.is_id]
    sums = [item for item in intent.measures if item.column is not None]
    return [("how much of what is not read", 0.5)] if asked and not shown and not sums and not intent.ratio else []
