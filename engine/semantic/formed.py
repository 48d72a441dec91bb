"""Metrics that a question forms itself: of a kind of rows (`refunded amount`), and `X, which is A divided by B`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.dates.ranges import Found
from engine.planner.words import cues
from engine.semantic.layer import Layer
from engine.semantic.lexicon import Words, flag_of, metric_names, set_flag, words_of
from engine.semantic.metric_fits import counts, is_counted, read_metrics
from engine.semantic.models import MAX_NAME, Dimension, Input, Measure, Metric, SemanticModel
from engine.semantic.sentence import Sentence
from engine.sql.definitions import Expression

OF_A_KIND = 0.9
MAX_FORMED, MAX_OPERANDS = 20, 12
IS = frozenset(["is", "are", "was", "were", "equals", "equal", "means", "="])
SAID_AS = frozenset(["defined", "calculated", "computed", "measured"])
ENDS = frozenset(["by", "per", "each", "every", "where", "which", "who", "in", "for", "during", "since", "from", "on"])
_STARTS = "what which is are was were the a an show return give list me find get and by per"
STARTS = frozenset(_STARTS.split())
OPERATORS = {
    ("divided", "by"): "/",
    ("over",): "/",
    ("/",): "/",
    ("multiplied", "by"): "*",
    ("times",): "*",
    ("*",): "*",
    ("minus",): "-",
    ("less",): "-",
    ("-",): "-",
    ("plus",): "+",
    ("+",): "+",
}
OF_TWO: dict[tuple[str, ...], tuple[str, str]] = {
    ("ratio", "of"): ("to", "/"),
    ("difference", "between"): ("and", "-"),
    ("difference", "of"): ("and", "-"),
}
SUMS = (("sum", "of"), ("total", "of"), ("combination", "of"))


@dataclass(slots=True)
class Formed:
    """The layer with the metrics that a question forms, what each of them is read as, and how surely."""

    layer: Layer
    said: dict[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(self.layer.metrics[name] for name in self.said)

    def add(self, metric: Metric, said: str, sure: float) -> None:
        self.layer = self.layer.plus(metric)
        self.said[metric.name] = (said, sure)


def form_metrics(sentence: Sentence, layer: Layer) -> Formed:
    """What the question forms; the words of its definitions are used then."""
    formed = Formed(layer)
    for metric, said in _of_kinds(sentence, layer):
        if len(formed.said) < MAX_FORMED and metric.name not in formed.layer.metrics:
            formed.add(metric, said, OF_A_KIND)
    _Definitions(sentence, formed).read()
    return formed


# Kinds of rows


def _of_kinds(sentence: Sentence, layer: Layer) -> list[tuple[Metric, str]]:
    """`refunded amount`: a measure over the rows that are flagged so, named as its last word is; `members`: a count."""
    asked = {word.word for word in sentence.words}
    known = {name for metric in layer.metrics.values() for name in metric_names(metric)}
    found: dict[str, list[tuple[Metric, str]]] = {}
    flagged = [
        (model, flag, flag_of(flag))
        for model in layer.models.values()
        for flag in model.dimensions
        if flag_of(flag) and asked.issuperset(flag_of(flag))
    ]
    for holder, flag, words in flagged:
        for model, path in _measured(layer, holder, flag):
            for measure in model.measures:
                name = _kind_name(flag, words, measure, is_counted=is_counted(sentence, words))
                if not name or not asked.issuperset(name) or name in known:
                    continue
                metric = Metric(
                    name="_".join(name)[:MAX_NAME],
                    kind="simple",
                    inputs=(Input(measure.name),),
                    filters=(set_flag(flag, path),),
                )
                found.setdefault(metric.name, []).append(
                    (metric, f"{metric.name} is read as {measure.name} where {path}")
                )
    return [each[0] for each in found.values() if len(each) == 1]


def _kind_name(flag: Dimension, words: Words, measure: Measure, *, is_counted: bool) -> Words:
    """What a measure over flagged rows is called; nothing where it has no name of its own."""
    if counts(measure):
        return words if is_counted and words_of(flag.name)[0] == "is" and len(words) == 1 else ()
    noun = words_of(measure.name)[-1]
    return (*words, noun) if measure.aggregation == "sum" and noun not in words else ()


def _measured(layer: Layer, holder: SemanticModel, flag: Dimension) -> Iterator[tuple[SemanticModel, str]]:
    """The models whose rows the flag is of: its own, and those with the same key."""
    key = holder.primary
    for model in layer.models.values() if key else ():
        if model.measures and model.primary == key and (model is holder or (holder.entity(key) and model.entity(key))):
            yield model, f"{key}__{flag.name}"


# Definitions


@dataclass(frozen=True, slots=True)
class _Part:
    """Words of the question from one place to before another."""

    start: int
    end: int


class _Definitions:
    """Reads `X, which is ...` and `where X is ...`, one after another: later ones may name earlier ones."""

    def __init__(self, sentence: Sentence, formed: Formed):
        self._sentence = sentence
        self._words = sentence.words
        self._texts = [word.token.text.lower() for word in sentence.words]
        self._formed = formed

    def read(self) -> None:
        for term, body, is_apart in list(self._found()):
            metric = self._metric(self._text(term), body)
            if metric is None or len(self._formed.said) >= MAX_FORMED:
                continue
            if metric.name not in self._formed.layer.metrics:
                sure = [self._formed.said[each.name][1] for each in metric.inputs if each.name in self._formed.said]
                self._formed.add(metric, f"{metric.name} is read as {metric.text}", min(sure, default=1.0))
            self._sentence.use(range(term.start if is_apart else term.end, body.end), "definition")

    def _found(self) -> Iterator[tuple[_Part, _Part, bool]]:
        """The terms that are defined, and their definitions; whether the term only stands there to be defined."""
        at = 0
        while at < len(self._texts):
            term = self._where(at) if self._texts[at] in ("where", "and", "with") else None
            if term is not None:
                body = _Part(self._after(term.end), self._end(self._after(term.end)))
                yield term, body, True
                at = max(body.end, at + 1)
                continue
            if (self._texts[at] in ("which", "that") and self._next(at + 1) in IS) or self._texts[at] in SAID_AS:
                body = _Part(at + 2, self._end(at + 2))
                term = self._before(at)
                if term.end > term.start:
                    yield term, body, False
            at += 1

    def _where(self, at: int) -> _Part | None:
        """The term of `where X is`, and of `and X is` after it."""
        for end in range(at + 2, min(at + 7, len(self._texts))):
            if self._texts[end] in IS or self._texts[end] in SAID_AS:
                start = at + 1 + (self._texts[at + 1] in ("the", "a", "an"))
                return _Part(start, end) if end > start else None
            if self._words[end].token.kind == "sign" or self._texts[end] in ("and", "by", "where", "which"):
                return None
        return None

    def _after(self, at: int) -> int:
        """Past `is`, `is defined as`, `defined as`."""
        while self._next(at) in IS or self._next(at) in SAID_AS or self._next(at) == "as":
            at += 1
        return at

    def _before(self, at: int) -> _Part:
        """The noun before `which is`; of `the loss of each policy, which is` the loss."""
        end = at
        while end and self._words[end - 1].token.kind == "sign":
            end -= 1
        start = end
        while start and self._texts[start - 1] not in STARTS and self._words[start - 1].token.kind != "sign":
            if self._texts[start - 1] in ("each", "every", "all") and self._next(start - 2) == "of":
                end = start = start - 2
                continue
            start -= 1
        return _Part(start, end)

    def _end(self, start: int) -> int:
        """Where a definition ends: before `by country`, before the next definition, at the end of the sentence."""
        for at in range(start, len(self._texts)):
            text = self._texts[at]
            is_operator = text == "by" and (self._texts[at - 1], text) in OPERATORS
            is_other = text == "and" and self._where(at) is not None
            if text in (".", "?", ";", ")") or self._words[at].use == "time" or is_other:
                return at
            if text in ENDS and not is_operator and at > start:
                return at
        return len(self._texts)

    def _next(self, at: int) -> str:
        return self._texts[at] if 0 <= at < len(self._texts) else ""

    def _text(self, part: _Part) -> str:
        if part.end <= part.start:
            return ""
        return self._sentence.text[self._words[part.start].token.start : self._words[part.end - 1].token.end]

    # What a definition says

    def _metric(self, term: str, body: _Part) -> Metric | None:
        """The metric of a definition; None where it is not understood."""
        start = body.start + (self._next(body.start) in ("the", "a"))
        said = self._two(start, body.end) or self._sum(start, body.end) or self._computed(start, body.end)
        if said is None or not all(said[1]) or not 2 <= len(said[1]) <= MAX_OPERANDS:
            return None
        sign, texts = said
        noun = texts[-1].split()[-1] if texts[-1].split()[1:] else ""  # `net and gross amount`
        operands = [self._operand(f"{text} {noun}") or self._operand(text) for text in texts[:-1]]
        operands.append(self._operand(texts[-1]))
        known = [each for each in operands if each is not None]
        if len(known) != len(texts) or len(set(known)) != len(known):
            return None
        text = f" {sign} ".join(known)
        for metric in self._formed.layer.metrics.values():  # it says what is defined already
            is_called_so = any(set(words_of(term)) <= set(name) for name in metric_names(metric))
            if is_called_so and _is_same(metric, sign, known):
                return metric
        name = re.sub(r"\W+", "_", "_".join(words_of(term)))[:MAX_NAME]
        name = f"{name}_asked" if name in self._formed.layer.metrics else name
        if sign == "/":
            return Metric(name, "ratio", tuple(map(Input, known)), text=text, synonyms=(term,))
        inputs = tuple(Input(each, fill=None if sign == "*" else 0) for each in known)
        expression = Expression(column=known[0])
        for each in known[1:]:
            expression = Expression.model_validate({"operator": sign, "args": [expression, {"column": each}]})
        return Metric(name, "derived", inputs, expression, text=text, synonyms=(term,))

    def _sum(self, start: int, end: int) -> tuple[str, list[str]] | None:
        if tuple(self._texts[start : start + 2]) not in SUMS:
            return None
        texts, at = [], start + 2
        for place in range(at, end + 1):
            if place == end or self._texts[place] in (",", "and", "&", "plus", "+"):
                texts.append(self._text(_Part(at, place)))
                at = place + 1
        return "+", [text for text in texts if text]

    def _two(self, start: int, end: int) -> tuple[str, list[str]] | None:
        """`the ratio of A to B`, `the difference between A and B`."""
        middle, sign = OF_TWO.get(tuple(self._texts[start : start + 2]), ("", ""))
        places = [at for at in range(start + 2, end) if self._texts[at] == middle]
        if not sign or len(places) != 1:
            return None
        return sign, [self._text(_Part(start + 2, places[0])), self._text(_Part(places[0] + 1, end))]

    def _computed(self, start: int, end: int) -> tuple[str, list[str]] | None:
        """`A divided by B`; `A plus B plus C` with one and the same operator."""
        signs, texts, at = set(), [], start
        for place in range(start, end):
            for words, sign in OPERATORS.items():
                if place >= at and tuple(self._texts[place : place + len(words)]) == words:
                    signs.add(sign)
                    texts.append(self._text(_Part(at, place)))
                    at = place + len(words)
        texts.append(self._text(_Part(at, end)))
        if len(signs) != 1 or not all(texts) or (signs == {"/"} and len(texts) != 2):
            return None
        return signs.pop(), texts

    def _operand(self, text: str) -> str | None:
        """The one metric that a text names, and nothing else."""
        sentence, layer = Sentence(text, Found()), self._formed.layer
        named = read_metrics(sentence, layer).metrics
        if len(named) != 1:
            return None
        said = set(cues().agents)
        if named[0].inputs[0].name in layer.measures:
            model, _ = layer.measure(named[0].inputs[0].name)
            said |= {*words_of(model.name), *words_of(model.primary)}
        return named[0].name if said.issuperset(words_of(" ".join(sentence.left()))) else None


def _is_same(metric: Metric, sign: str, names: Sequence[str]) -> bool:
    if {given.name for given in metric.inputs} != set(names) or any(
        given.filters or given.offset or given.offset_to for given in metric.inputs
    ):
        return False
    if metric.kind == "ratio":
        return sign == "/" and [given.name for given in metric.inputs] == list(names)
    ordered = metric.text.replace(" ", "") == sign.join(names)
    swapped = sign == "+" and sorted(re.split(r"\s*\+\s*", metric.text.strip())) == sorted(names)
    return metric.kind == "derived" and (ordered or swapped) and not metric.filters
