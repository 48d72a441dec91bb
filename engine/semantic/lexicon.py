"""What a layer's things are called: phrases for metrics and dimensions, and what descriptions say of values."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache

from engine.planner.words import cues, stem_of
from engine.semantic.layer import Layer, Place
from engine.semantic.models import Dimension, Entity, Metric, SemanticModel
from engine.sql.definitions import Condition

Words = tuple[str, ...]
LINKING = frozenset(["of", "the", "to", "a", "an", "in", "for", "by", "per", "and", "dim", "time"])
GROUPING = frozenset(["by", "per", "each", "every"])
NAMING = frozenset(["name", "number", "title", "label"])
IDENTIFYING = frozenset(["id", "identifier", "key", "code"])
FLAGS = ("has", "is")
_MEANS = re.compile(
    r"(?P<dimension>\w+)\s*=\s*['\"](?P<value>[^'\"]{1,100})['\"]\s*(?:,?\s*then)?\s*(?:(?P<carrier>\w+)\s+)?"
    r"(?:refers to|means|stands for|identifies|is for|marks)\s+(?:an?\s+|the\s+)?(?P<term>\w+)",
    re.IGNORECASE,
)
MAX_DESCRIPTION, MAX_NEAREST = 4000, 5


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand for a dimension, how well, and where it is found. lesser: a name left out a part."""

    words: Words
    path: str
    steps: int
    score: float


@dataclass(frozen=True, slots=True)
class Role:
    """A word that stands for one value of a dimension, and for what is then identified by another."""

    words: Words
    condition: Condition
    carrier: str | None
    steps: int


def metric_names(metric: Metric) -> list[Words]:
    """The words of a metric's name, label and synonyms, without those that only link."""
    found = [_content(text) for text in (metric.name, metric.label, *metric.synonyms) if text]
    return list(dict.fromkeys(words for words in found if words))


def phrases(places: dict[str, Place], base: SemanticModel, layer: Layer) -> list[Phrase]:
    """How each dimension that can be reached is called, alone and with the thing that it is of."""
    found: list[Phrase] = []
    for path, place in places.items():
        owner = layer.models[place.steps[-1].model] if place.steps else base
        *links, _ = path.split("__")
        owners = {words_of(owner.name), *(words_of(text) for text in owner.synonyms)}
        owners |= {words_of(links[-1])} if links else set()
        for words, score in _names(place.element, owners):
            found.append(Phrase(words, path, len(place.steps), score))
    return found


def flags(places: dict[str, Place]) -> list[Role]:
    """`has_premium`, `is_open`: the word for what is flagged, and the condition that it sets."""
    found = []
    for path, place in places.items():
        words = flag_of(place.element)
        if isinstance(place.element, Dimension) and words:
            condition, owner = set_flag(place.element, path), words_of(path.split("__")[-2])
            found.append(Role(words, condition, None, len(place.steps)))
            if len(words) > 1 and words[-1] in owner:  # `gift` for is_gift_order
                found.append(Role(words[:-1], condition, None, len(place.steps)))
    return found


def flag_of(element: Dimension | Entity) -> Words:
    """What a dimension such as `has_premium` flags; nothing for others."""
    words = words_of(element.name) if isinstance(element, Dimension) else ()
    return words[1:] if words and words[0] in FLAGS else ()


def set_flag(flag: Dimension, path: str) -> Condition:
    """That what a dimension flags is so."""
    wanted: int | bool = 1 if flag.expression.value == 1 else True
    return Condition.model_validate({"column": path, "operator": "eq", "value": wanted})


def roles(places: dict[str, Place]) -> list[Role]:
    """What descriptions say of values: `if kind = 'AG' then party refers to agent_id`."""
    found: dict[tuple[Words, str], Role] = {}
    for path, place in places.items():
        element = place.element
        for said in _MEANS.finditer(element.description[:MAX_DESCRIPTION]):
            prefix = path.rpartition("__")[0]
            holder = _sibling(places, prefix, said["dimension"])
            if holder is None:
                continue
            condition = Condition.model_validate({"column": holder, "operator": "eq", "value": said["value"]})
            carrier = _sibling(places, prefix, said["carrier"]) if said["carrier"] else None
            words = words_of(said["term"])
            role = Role(words, condition, carrier, len(place.steps))
            found.setdefault((words, holder), role)
            if len(words) > 1 and words[-1] in IDENTIFYING:
                found.setdefault((words[:-1], holder), Role(words[:-1], condition, carrier, len(place.steps)))
    return list(found.values())


@lru_cache(maxsize=50_000)
def words_of(text: str) -> Words:
    """The words of a name in their singular, abbreviations spelled out."""
    table = cues().abbreviations
    stems = [part for word in re.findall(r"[^\W_]+", stem_of(text)) for part in stem_of(word).split()]
    return tuple(table.get(stem, stem) for stem in stems)


def _content(text: str) -> Words:
    return tuple(word for word in words_of(text) if word not in LINKING)


def _names(element: Dimension | Entity, owners: Iterable[Words]) -> Iterator[tuple[Words, float]]:
    texts = [element.name]
    if isinstance(element, Dimension):
        texts += [text for text in (element.label, *element.synonyms) if text]
    for text in texts:
        words = tuple(word for word in words_of(text) if word != "dim")
        if not words:
            continue
        yield words, 1.0
        for owner in owners:
            yield (*owner, *words), 1.0
            for part in _parts(owner):  # `coverage start` for the start of a policy_coverage_detail
                yield (*part, *words), 0.75
            if words[: len(owner)] == owner and len(words) > len(owner):
                yield words[len(owner) :], 0.8
        for start in range(1, len(words)):  # `claim number` for company_claim_number
            if len(words) - start > 1:
                yield words[start:], 0.85
        if len(words) > 1 and words[-1] in NAMING | IDENTIFYING:
            yield words[:-1], 0.8 if words[-1] in NAMING else 0.7


def _parts(words: Words) -> Iterator[Words]:
    """The shorter runs of words in a name."""
    for length in range(1, len(words)):
        for start in range(len(words) - length + 1):
            yield words[start : start + length]


def _sibling(places: dict[str, Place], prefix: str, name: str) -> str | None:
    """The dimension of that name, or over the column of that name, beside another."""
    wanted = name.lower()
    for path, place in places.items():
        if path.rpartition("__")[0] != prefix or not isinstance(place.element, Dimension):
            continue
        column = place.element.expression.column
        if place.element.name.lower() == wanted or (column is not None and column.lower() == wanted):
            return path
    return None


@cache
def ignored() -> frozenset[str]:
    """Words that say nothing by themselves."""
    return cues().ignored


def holders(places: dict[str, Place], base: SemanticModel, layer: Layer) -> dict[tuple[str, str], list[str]]:
    """The dimensions over plain columns, by model and column, the nearest first."""
    found: dict[tuple[str, str], list[str]] = {}
    ordered: Sequence[tuple[str, Place]] = sorted(places.items(), key=lambda item: len(item[1].steps))
    for path, place in ordered:
        owner = layer.models[place.steps[-1].model] if place.steps else base
        column = place.element.expression.column
        if column is not None and isinstance(place.element, Dimension):
            found.setdefault((owner.name, column.lower()), []).append(path)
    return found


def nearest(asked: Iterable[str], layer: Layer) -> tuple[str, ...]:
    """Metrics that share words with a question, or are spelled alike."""
    wanted = set(asked) - ignored()
    scored = []
    for metric in layer.metrics.values():
        words = {word for name in metric_names(metric) for word in name}
        if common := words & wanted:
            scored.append((-len(common) / len(words), metric.name))
    close = [name for _, name in sorted(scored)]
    close += get_close_matches("_".join(sorted(wanted))[:200], list(layer.metrics), n=3, cutoff=0.5)
    return tuple(dict.fromkeys(close))[:MAX_NEAREST]
