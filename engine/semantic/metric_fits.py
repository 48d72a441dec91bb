"""Which metrics a question names: their words, close together, whatever stands between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.semantic.layer import Layer
from engine.semantic.lexicon import GROUPING, LINKING, Words, flag_of, metric_names, words_of
from engine.semantic.limits import limits
from engine.semantic.models import Measure, Metric
from engine.semantic.sentence import Sentence

GENERIC = frozenset(["total", "amount", "number", "value", "count", "sum", "average"])
COUNTING = (("how", "many"), ("number", "of"), ("count", "of"), ("the", "number", "of"))
MAX_METRICS, MAX_LISTED = 20, 30
LEAST_METRIC, ELSEWHERE, SHARED, LEFT_OUT = 0.7, 0.9, 0.9, 0.8


@dataclass(slots=True)
class Named:
    """The metrics of a question in its order, where they are named, and what may be meant otherwise."""

    metrics: list[Metric] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)
    doubts: list[tuple[str, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Fit:
    score: float
    metric: Metric
    places: tuple[int, ...]
    elsewhere: tuple[int, ...] = ()
    left_out: int = 0


def read_metrics(sentence: Sentence, layer: Layer) -> Named:
    """The metrics that are named; their words are used then."""
    return _Finder(sentence, layer).read()


def is_count(metric: Metric, layer: Layer) -> bool:
    """Whether a metric says how many rows or things there are."""
    if metric.kind != "simple" or metric.inputs[0].name not in layer.measures:
        return False
    return counts(layer.measure(metric.inputs[0].name)[1])


def is_counted(sentence: Sentence, words: Words) -> bool:
    """Whether `how many` stands before words."""
    texts = tuple(word.token.text.lower() for word in sentence.words)
    places = [at for at in range(len(texts)) if sentence.stands(words, at)]
    return any(texts[max(at - len(phrase), 0) : at] == phrase for at in places for phrase in COUNTING)


def counts(measure: Measure) -> bool:
    """Whether a measure says how many rows or things there are."""
    is_one = measure.aggregation == "sum" and measure.expression.value == 1
    return is_one or measure.aggregation in ("count", "count_distinct")


class _Finder:
    def __init__(self, sentence: Sentence, layer: Layer):
        self._sentence = sentence
        self._words = sentence.words
        self._layer = layer
        self._found: list[tuple[int, Metric]] = []
        self._places: dict[str, list[int]] = {}
        for at, each in enumerate(self._words):
            self._places.setdefault(each.word, []).append(at)
        self._limited = {limit.end for limit in limits(sentence)}  # `at least 3` before `orders`
        counted = [metric for metric in layer.metrics.values() if is_count(metric, layer)]
        self._counted = {word for metric in counted for name in metric_names(metric) for word in name} - GENERIC
        self._flags = {word for model in layer.models.values() for each in model.dimensions for word in flag_of(each)}
        self._known = {word for metric in layer.metrics.values() for name in metric_names(metric) for word in name}

    def read(self) -> Named:
        named = Named()
        said = {word.word for word in self._words}
        names = [
            (metric, words)
            for metric in self._layer.metrics.values()
            for words in metric_names(metric)
            if said.intersection(words)
        ]
        while True:
            chosen = {metric.name for _, metric in self._found}
            fits = [fit for metric, words in names if metric.name not in chosen for fit in self._fits(metric, words)]
            best = max(fits, key=lambda fit: (fit.score, -len(fit.elsewhere), fit.metric.name), default=None)
            if best is None or len(self._found) == MAX_METRICS:
                named.metrics = [metric for _, metric in sorted(self._found, key=lambda item: item[0])]
                return named
            inside = range(min(best.places), max(best.places))
            linking = [at for at in inside if self._words[at].word in LINKING]
            self._sentence.use([*best.places, *linking], "metric")
            named.places |= dict.fromkeys(best.places, best.metric.name)
            self._found.append((min(best.places), best.metric))
            if best.left_out:
                named.doubts.append((f"this is read as {best.metric.name}", LEFT_OUT))
            if best.elsewhere:
                named.doubts.append((f"{best.metric.name} is meant by words that stand apart", 0.95))

    def _fits(self, metric: Metric, wanted: Words) -> Iterator[_Fit]:
        """Places where the words of a metric's name stand close together."""
        is_first = not self._found
        counts = is_count(metric, self._layer)
        named = {word for text in (metric.name, metric.label, *metric.synonyms) for word in words_of(text)}
        ends = GROUPING - named  # `total cost by order amount` names no total order amount
        is_begun = counts and len(wanted) > 1 and wanted[0] in ("number", "count", "total")
        if is_begun:  # `policy number` does not ask for the number of policies
            wanted = wanted[1:]
        for start in range(len(self._words)):
            if self._words[start].use or self._words[start].word not in wanted:
                continue
            places = self._window(start, wanted, ends)
            found = {self._words[place].word for place in places}
            missing = [word for word in wanted if word not in found]
            score = 1.0 + 0.05 * len(wanted)
            elsewhere: list[int] = []
            left_out = 0
            for word in missing:
                if (word in GENERIC or word == wanted[-1]) and self._is_shared(word, places[-1]):
                    score *= SHARED
                    continue
                apart = self._apart(word, places) if is_first else None
                if apart is not None:
                    score *= ELSEWHERE
                    elsewhere.append(apart)
                elif word in GENERIC and word != "average" and not left_out:
                    score *= LEFT_OUT
                    left_out += 1
                else:
                    score = 0.0
            is_named = any(self._words[place].word not in GENERIC for place in [*places, *elsewhere])
            is_whole = len(wanted) > 1 and not missing and not is_begun
            if left_out and self._counted.issuperset(found):  # `orders` are counted: no total of them is meant
                continue
            is_meant = not counts or is_whole or self._is_meant(places, is_first=is_first)
            if score >= LEAST_METRIC and is_named and is_meant:
                yield _Fit(score, metric, (*places, *self._counting(places)), tuple(elsewhere), left_out)

    def _window(self, start: int, wanted: Words, ends: frozenset[str]) -> list[int]:
        """The places of as many wanted words as stand within a few words, or lists of them, from here on."""
        places: list[int] = []
        left = list(wanted)
        for place in range(start, min(len(self._words), start + len(wanted) + 3)):
            word = self._words[place]
            if (word.token.kind == "sign" or word.word in ends) and places:
                break
            if not word.use and word.word in left:
                left.remove(word.word)
                places.append(place)
        return places

    def _is_shared(self, noun: str, at: int) -> bool:
        """Whether all of a list have one noun at its end: `net, gross and late amount`."""
        is_list = False
        for word in self._words[at + 1 : at + MAX_LISTED]:
            if word.word == noun:
                return is_list
            is_list = is_list or word.token.text in (",", "and", "&")
            if word.word not in self._known and word.token.text not in (",", "and", "&"):
                return False
        return False

    def _apart(self, word: str, places: Sequence[int]) -> int | None:
        return next((at for at in self._places.get(word, ()) if at not in places), None)

    def _is_meant(self, places: Sequence[int], *, is_first: bool) -> bool:
        """Whether `claims` asks how many: after `how many`, at the beginning, or in a list with other metrics."""
        if self._counting(places) or places[0] in self._limited:
            return True
        before = self._words[places[0] - 1] if places[0] else None
        is_listed = before is not None and (before.word == "and" or before.token.text == ",") and places[0] > 1
        is_begun = places[0] <= 1 and (is_first or self._begins_list(places[-1] + 1))
        return is_begun or (is_listed and self._words[places[0] - 2].use == "metric")

    def _begins_list(self, at: int) -> bool:
        """Whether another metric follows: `orders and revenue by month`."""
        if at + 1 >= len(self._words) or self._words[at].token.text not in (",", "and", "&"):
            return False
        return self._words[at + 1].use == "metric"

    def _counting(self, places: Sequence[int]) -> list[int]:
        """The places of `how many` right before a metric's words, or of `count` right after them."""
        if places[-1] + 1 < len(self._words) and self._words[places[-1] + 1].word == "count":
            return [places[-1] + 1]
        first = places[0]
        while first and self._words[first - 1].word in self._flags:  # `number of gift orders`
            first -= 1
        for phrase in COUNTING:
            at = first - len(phrase)
            if at >= 0 and tuple(word.token.text.lower() for word in self._words[at:first]) == phrase:
                return list(range(at, first))
        return []
