"""Values of dimensions that a question names: `in France`, `with status open`."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from engine.semantic.lexicon import Phrase, ignored
from engine.semantic.sentence import Sentence
from engine.sql.definitions import Condition

MAX_VALUE_WORDS = 5
BETWEEN = frozenset(["is", "are", "was", "were", "of", "as", "=", "equals", "the", "a", "an", "in"])

FindValue = Callable[[str], Sequence[tuple[str, str, str]]]
"""For a text, the models and columns that hold it as a value, and how they spell it."""


def read_values(
    sentence: Sentence, find: FindValue, known: Mapping[tuple[str, str], list[str]], phrases: Sequence[Phrase]
) -> Iterator[Condition]:
    """Conditions on dimensions that hold the texts; their words are used then. known: paths by model and column."""
    at = 0
    while at < len(sentence):
        found = _value(sentence, at, find, known)
        if found is None:
            at += 1
            continue
        path, value, end = found
        sentence.use(range(at, end), "value")
        _name(sentence, at, end, [phrase.words for phrase in phrases if phrase.path == path])
        yield Condition.model_validate({"column": path, "operator": "eq", "value": value})
        at = end


def _value(
    sentence: Sentence, at: int, find: FindValue, known: Mapping[tuple[str, str], list[str]]
) -> tuple[str, str, int] | None:
    """The longest value that begins at a place: the dimension that holds it, its spelling, where it ends."""
    for end in range(min(len(sentence), at + MAX_VALUE_WORDS), at, -1):
        span = sentence.words[at:end]
        if any(word.use or word.token.kind == "sign" for word in span):
            continue
        token = span[0].token
        text = token.quoted if token.kind == "quoted" else sentence.text[token.start : span[-1].token.end]
        is_plain = end == at + 1 and (span[0].word in ignored() and not text.isupper())
        if is_plain or (len(text) < 2 and token.kind != "quoted"):
            continue
        for model, column, value in find(text):
            paths = known.get((model, column.lower()))
            if paths:
                return paths[0], value, end
    return None


def _name(sentence: Sentence, start: int, end: int, names: Sequence[tuple[str, ...]]) -> None:
    """The dimension's own name beside its value says nothing more: `status open`, `the open status`."""
    before = start
    while before and sentence.words[before - 1].token.text.lower() in BETWEEN:
        before -= 1
    for name in sorted(names, key=len, reverse=True):
        for at in (before - len(name), end):
            if at >= 0 and sentence.stands(name, at):
                sentence.use(range(at, at + len(name)), "dimension")
                return
