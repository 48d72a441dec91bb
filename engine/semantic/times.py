"""Which time a question means where there are several: `opened in 2019`, `by month closed`, `with due date in May`."""

from collections.abc import Mapping, Sequence

from engine.dates.ranges import Range
from engine.semantic.layer import Place
from engine.semantic.leaves import moment_text
from engine.semantic.lexicon import Phrase, Words, words_of
from engine.semantic.models import Dimension
from engine.semantic.sentence import Sentence
from engine.sql.definitions import Condition

_BESIDE = "in on at during since between from by before after of is the up"
BESIDE = frozenset(_BESIDE.split())
SAYS_TIME = frozenset(["date", "time", "at", "on", "day", "timestamp", "datetime", "dt", "ts", "utc"])
MAX_BESIDE = 3


def named_time(
    sentence: Sentence, span: tuple[int, int], places: Mapping[str, Place], phrases: Sequence[Phrase]
) -> tuple[str, range] | None:
    """The time dimension that words beside a phrase about time name, and where they stand. span: of characters."""
    times = {path: place for path, place in places.items() if _is_time(place)}
    inside = [at for at, word in enumerate(sentence.words) if span[0] <= word.token.start < span[1]]
    if not inside or not times:
        return None
    before, after = inside[0], inside[-1] + 1
    while before and inside[0] - before < MAX_BESIDE and _text(sentence, before - 1) in BESIDE:
        before -= 1
    while after < len(sentence) and after - inside[-1] <= MAX_BESIDE and _text(sentence, after) in BESIDE:
        after += 1
    for phrase in sorted(phrases, key=lambda phrase: (-len(phrase.words), phrase.steps, phrase.path)):
        start = before - len(phrase.words)
        if phrase.path in times and start >= 0 and sentence.stands(phrase.words, start):
            return phrase.path, range(start, before)
    for at in (before - 1, after):
        if 0 <= at < len(sentence) and sentence.is_free(at, at + 1):
            found = _by_verb([_text(sentence, place) for place in range(max(at - 1, 0), at + 1)], times)
            if found is not None:
                return found[0], range(at + 1 - found[1], at + 1)
    return None


def within(path: str, meant: Range) -> list[Condition]:
    """That a time lies in a range."""
    ends = (("ge", meant.start), ("lt", meant.end))
    return [
        Condition.model_validate({"column": path, "operator": operator, "value": moment_text(moment)})
        for operator, moment in ends
        if moment is not None
    ]


def _by_verb(texts: Sequence[str], times: Mapping[str, Place]) -> tuple[str, int] | None:
    """The only time whose name holds most of the words up to a verb, and how many: `shipped` for `ship_date`.

    The nearest of several; `first ordered` is the time of a first order rather than of any."""
    best: dict[tuple[int, int, int], list[str]] = {}
    for path, place in times.items():
        forms = [_forms(word) for word in _own(path, place)]
        said = [any(_forms(text) & each for each in forms) for text in texts]
        if said[-1]:
            best.setdefault((sum(said), -len(place.steps), -len(forms)), []).append(path)
    key = max(best, default=(0, 0, 0))
    return (best[key][0], key[0]) if best and len(best[key]) == 1 else None


def _own(path: str, place: Place) -> Words:
    owner = words_of(path.split("__")[-2]) if "__" in path else ()
    return tuple(word for word in words_of(place.element.name) if word not in SAYS_TIME and word not in owner)


def _forms(word: str) -> set[str]:
    """A verb without its ending, as far as that can be told from its letters."""
    cut = {word.removesuffix(ending) for ending in ("ed", "d", "ing", "en", "s")}
    doubled = {form[:-1] for form in cut if len(form) > 3 and form[-1] == form[-2]}
    return {form for form in cut | doubled | {f"{form}e" for form in cut} if len(form) > 2}


def _is_time(place: Place) -> bool:
    return isinstance(place.element, Dimension) and place.element.is_time


def _text(sentence: Sentence, at: int) -> str:
    return sentence.words[at].token.text.lower()
