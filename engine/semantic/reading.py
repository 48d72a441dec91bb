"""Questions in words as questions for metrics, without a model: what is understood, how surely, what is left over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from engine.dates.calendar import Calendar
from engine.dates.find import find_dates
from engine.planner.words import cues, stem_of
from engine.semantic.compile import MetricQuery
from engine.semantic.formed import form_metrics
from engine.semantic.layer import FIGURE, METRIC_TIME, Layer, Place
from engine.semantic.lexicon import (
    GROUPING,
    IDENTIFYING,
    Role,
    flags,
    holders,
    metric_names,
    nearest,
    phrases,
    roles,
    words_of,
)
from engine.semantic.limits import limits, read_limits
from engine.semantic.metric_fits import is_count, read_metrics
from engine.semantic.models import Metric, SemanticModel, Window
from engine.semantic.readings import MetricReading, as_read, grain_of
from engine.semantic.sentence import UNEXPLAINED, Sentence, weight
from engine.semantic.times import named_time, within
from engine.semantic.values import FindValue, read_values
from engine.sql.definitions import Condition

PERIODS = frozenset(["day", "week", "month", "quarter", "year"])
SUMMED = frozenset(["total", "sum", "overall", "altogether", "combined", "much", "aggregate"])
NUMBERED = frozenset(["number", *IDENTIFYING])
SORTING = frozenset(["sorted", "sort", "ranked", "rank", "ordered", "descending", "ascending", "desc", "asc"])
DIRECTIONS = {"descending": "desc", "desc": "desc", "ascending": "asc", "asc": "asc"}
CHANGES = frozenset(["growth", "change", "increase", "decrease", "difference", "delta", "compare", "comparison"])
SURE, NO_TOTAL, OF_EACH, BY_MONTH = 0.95, 0.8, 0.7, 0.9


@dataclass(slots=True)
class _Sense:
    """What was understood so far."""

    metrics: list[Metric] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    where: list[Condition] = field(default_factory=list)
    having: list[Condition] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)
    limit: int | None = None
    grain: str = ""
    grain_of: str = METRIC_TIME
    is_elsewhere: bool = False
    doubts: list[tuple[str, float]] = field(default_factory=list)


def read_question(question: str, layer: Layer, find: FindValue, now: datetime, calendar: Calendar) -> MetricReading:
    """The metrics that a question asks for, by what, when and where."""
    return _Reader(question, layer, find, now, calendar).read()


class _Reader:
    def __init__(self, question: str, layer: Layer, find: FindValue, now: datetime, calendar: Calendar):
        self._question = question
        self._whole = layer
        self._find = find
        self._calendar = calendar
        self._dates = find_dates(question, now, calendar)
        self._is_compared = self._dates.compares is not None or any(each.versus for each in self._dates.mentions)
        self._sentence = Sentence(question, self._dates)
        self._words = self._sentence.words
        self._formed = form_metrics(self._sentence, layer)
        self._layer = self._formed.layer
        self._sense = _Sense()

    def read(self) -> MetricReading:
        named = read_metrics(self._sentence, self._layer)
        self._sense.metrics, self._sense.doubts = named.metrics, named.doubts
        if not self._sense.metrics:
            return MetricReading(None, 0.0, self._sentence.left(), self._nearest())
        said = [self._formed.said[each.name] for each in named.metrics if each.name in self._formed.said]
        self._sense.doubts += said
        bases = self._layer.measured(self._sense.metrics)
        places = self._layer.shared(bases)
        self._phrases = phrases(places, bases[0], self._layer)
        self._roles = roles(places)
        self._read_top()
        self._read_order()
        self._read_groups()
        self._read_limits(named.places)
        self._read_roles()
        self._read_flags(flags(places))
        known = holders(places, bases[0], self._layer)
        self._sense.where += read_values(self._sentence, self._find, known, self._phrases)
        self._read_times(bases, places)
        self._name_rows(bases, places)
        self._list_rows(bases[0], places)
        return self._result()

    # Groups

    def _read_groups(self) -> None:
        """`by region and month`, `for each customer`, `over time`."""
        at = 0
        texts = [word.token.text.lower() for word in self._words]
        if ("over", "time") in pairwise(texts) and self._dates.grain is None:
            self._sense.grain = "month"
            self._sense.doubts.append(("`over time` is read as by month", BY_MONTH))
        while at < len(self._words):
            if self._words[at].word in GROUPING and not self._words[at].use:
                end = self._list(at + 1)
                if end > at + 1:
                    self._words[at].use = "group"
                at = max(end, at + 1)
            else:
                at += 1

    def _list(self, at: int) -> int:
        """Dimensions one after the other, with commas and `and` between them."""
        end = at
        while True:
            place = self._skip(at)
            found = self._dimension(place)
            if found is not None:
                path, end = found
                self._group(path)
                self._sentence.use(range(place, end), "dimension")
            elif self._is_period(place):
                self._sense.grain, end = self._words[place].word, place + 1
                self._sentence.use([place], "time")
            else:
                return end
            at = end
            while at < len(self._words) and self._words[at].token.text in (",", "and", "&"):
                at += 1
            if at == end:
                return end

    def _is_period(self, at: int) -> bool:
        """Whether a word such as `month` stands among things to group by, where time is not grouped by already."""
        is_said = self._sense.grain or self._dates.grain is not None
        return not is_said and at < len(self._words) and self._words[at].word in PERIODS

    def _skip(self, at: int) -> int:
        """Past words such as `the`, `each`, `corresponding`."""
        while at < len(self._words) and (self._words[at].word in (*GROUPING, "the", "a", "an", "corresponding", "of")):
            at += 1
        return at

    def _dimension(self, at: int) -> tuple[str, int] | None:
        """The longest phrase from here on that stands for a dimension, or for what a role identifies."""
        best: tuple[int, float, int, str] | None = None
        for phrase in self._phrases:
            if self._sentence.stands(phrase.words, at):
                key = (len(phrase.words), phrase.score, -phrase.steps, phrase.path)
                best = key if best is None or key[:3] > best[:3] else best
        role = self._role_at(at)
        if role is not None and role.carrier is not None and (best is None or len(role.words) >= best[0]):
            self._take(role)
            return role.carrier, at + len(role.words)
        return (best[3], at + best[0]) if best is not None else None

    def _group(self, path: str) -> None:
        if path not in self._sense.groups:
            self._sense.groups.append(path)

    def _read_top(self) -> None:
        """`top 5 countries by revenue`, `which country has the highest revenue`."""
        table = cues().phrases
        limited = {at for limit in limits(self._sentence) for at in range(limit.start, limit.end)}  # `at least 3`
        for at, word in enumerate(self._words):
            kinds = table.get((word.token.text.lower(),), {})
            number = self._sentence.number(at + 1)
            if "top" in kinds and number is not None:
                found = self._dimension(at + 2)
                if found is not None:
                    self._rank(found[0], is_descending=kinds["top"] != "bottom", limit=number)
                    self._sentence.use(range(at, found[1]), "dimension")
                    self._release_by(found[1])
                    return
            if "superlatives" in kinds and not word.use and at not in limited and self._follows_metric(at):
                subject = self._subject(at)
                if subject is not None:
                    path, start, end, is_singular = subject
                    count = self._sentence.number(start - 1) if start else None
                    limit = count or (1 if is_singular else None)
                    self._rank(path, is_descending=kinds["superlatives"] == "desc", limit=limit)
                    self._sentence.use([at, *range(start - (count is not None), end)], "dimension")
                    return

    def _read_order(self) -> None:
        """`..., sorted from highest to lowest`, `in descending order`."""
        at = next((at for at, word in enumerate(self._words) if word.token.text.lower() in SORTING), None)
        if at is None or self._sense.order or self._words[at].use:
            return
        table = cues().phrases
        words = [(place, self._words[place].token.text.lower()) for place in range(at, len(self._words))]
        said = [(place, table.get((text,), {}).get("superlatives") or DIRECTIONS.get(text)) for place, text in words]
        known = [(place, direction) for place, direction in said if direction and not self._words[place].use]
        if known:
            self._sense.order = [(self._sense.metrics[0].name, known[0][1] == "desc")]
            self._sentence.use([at, *(place for place, _ in known)], "order")

    def _release_by(self, at: int) -> None:
        """The `by` of `top 5 countries by revenue` ranks."""
        if at < len(self._words) and self._words[at].word in ("by", "in", "for", "with"):
            self._words[at].use = "group"

    def _follows_metric(self, at: int) -> bool:
        """Whether a metric stands right after a word such as `highest`."""
        return any(word.use == "metric" for word in self._words[at + 1 : at + 4])

    def _subject(self, at: int) -> tuple[str, int, int, bool] | None:
        """The dimension that is asked for before `has the highest`."""
        for start in range(min(at, 6)):
            found = self._dimension(start) if not self._words[start].use else None
            if found is not None and found[1] <= at:
                text = self._words[found[1] - 1].token.text
                return found[0], start, found[1], stem_of(text) == text.lower()
        return None

    def _rank(self, path: str, *, is_descending: bool, limit: int | None) -> None:
        self._group(path)
        self._sense.order = [(self._sense.metrics[0].name, is_descending)]
        self._sense.limit = limit

    # Conditions

    def _counted(self, limited: str) -> str | None:
        """`how many customers have 3 orders or more`: a metric of each that is counted, which is not shown."""
        first, *others = self._sense.metrics
        limits_another = [metric.name for metric in others] == [limited] and is_count(first, self._layer)
        base, other = self._layer.measured([first])[0], self._layer.measured(others)[:1]
        if not limits_another or not base.primary or other[0].entity(base.primary) is None or base is other[0]:
            return None
        self._sense.metrics = [first]
        return f"{limited}{FIGURE}{base.primary}"

    def _read_limits(self, metrics: Mapping[int, str]) -> None:
        """`customers with revenue over 100`: figures of what is asked for first, unless groups are said."""
        for limit, condition in read_limits(self._sentence, metrics):
            if (inner := self._counted(str(condition.column))) is not None:
                self._sense.where.append(condition.model_copy(update={"column": inner}))
                continue
            self._sense.having.append(condition)
            subject = None if self._sense.groups else self._subject(limit.start)
            if subject is not None:
                self._group(subject[0])
                self._sentence.use(range(subject[1], subject[2]), "dimension")
        if self._sense.having and not self._sense.groups:
            self._sense.doubts.append(("nothing is said to have the figures that are limited", UNEXPLAINED))

    def _read_roles(self) -> None:
        """`agents`: the rows where the role is theirs; `a policy holder`: for each of them."""
        for at in range(len(self._words)):
            role = self._role_at(at)
            if role is None:
                continue
            self._take(role)
            is_one = at > 0 and self._words[at - 1].token.text.lower() in ("a", "an", "each", "every", "per")
            if is_one and role.carrier is not None:
                self._group(role.carrier)
            self._sentence.use(range(at, at + len(role.words)), "role")

    def _role_at(self, at: int) -> Role | None:
        there = [role for role in self._roles if self._sentence.stands(role.words, at)]
        return max(there, key=lambda role: (len(role.words), -role.steps), default=None)

    def _take(self, role: Role) -> None:
        if role.condition not in self._sense.where:
            self._sense.where.append(role.condition)

    def _read_flags(self, known: Sequence[Role]) -> None:
        for role in sorted(known, key=lambda role: (-len(role.words), role.steps)):
            for at in range(len(self._words)):
                end = at + len(role.words)
                is_free = self._sentence.stands(role.words, at) and self._sentence.is_free(at, end)
                if is_free and not self._is_listed(at, end):
                    self._take(role)
                    self._sentence.use(range(at, end), "flag")

    def _is_listed(self, start: int, end: int) -> bool:
        """Whether words are one of several things that are asked for: then they are no condition on the others."""
        around = [self._words[place].token.text for place in (start - 1, end) if 0 <= place < len(self._words)]
        return "," in around

    def _read_times(self, bases: Sequence[SemanticModel], places: dict[str, Place]) -> None:
        """`opened in 2019` where rows are counted by another time: a condition on when they were opened."""
        dates, sense = self._dates, self._sense
        own = {measure.time_dimension for model in bases for measure in model.measures}
        spans = [(each.start, each.end) for each in dates.mentions[:1]]
        spans += [dates.grain_at] if dates.grain is not None else []
        for span in spans:
            named = named_time(self._sentence, span, places, self._phrases)
            if named is None:
                continue
            path, words = named
            self._sentence.use(words, "time")
            if not places[path].steps and places[path].element.name in own:
                continue
            if self._is_compared:
                sense.doubts.append((f"what is compared is counted by another time than {path}", UNEXPLAINED))
            elif span == dates.grain_at:
                sense.grain_of = path
            else:
                sense.is_elsewhere = True
                sense.where += within(path, dates.mentions[0].range)

    # What is left

    def _name_rows(self, bases: Sequence[SemanticModel], places: dict[str, Place]) -> None:
        """`of all claims`, `of customers`: the rows that are measured anyway, and things that they belong to."""
        things = {words_of(model.name) for model in bases}
        things |= {words_of(text) for model in bases for text in model.synonyms}
        things |= {words_of(entity.name) for model in bases for entity in model.entities}
        near = {place.steps[-1].model for place in places.values() if place.steps}
        for model in (self._layer.models[name] for name in near):
            things |= {words_of(model.name), *(words_of(text) for text in model.synonyms)}
        things |= {words[:-1] for words in list(things) if len(words) > 1 and words[-1] in ("id", "identifier", "key")}
        used = {word.word for word in self._words if word.use in ("metric", "dimension")}
        for at in range(len(self._words)):
            for words in things:
                if words and self._sentence.stands(words, at):
                    self._sentence.use(range(at, at + len(words)), "rows")
            if not self._words[at].use and self._words[at].word in used:
                self._words[at].use = "again"

    def _list_rows(self, base: SemanticModel, places: dict[str, Place]) -> None:
        """`the amount of all orders by order number` asks for no total: amounts are shown one by one."""
        sense, said = self._sense, {word.word for word in self._words}
        metric = sense.metrics[0]
        if len(sense.metrics) > 1 or metric.kind != "simple" or said & SUMMED or not self._sentence.is_of_all():
            return
        _, measure = self._layer.measure(metric.inputs[0].name)
        is_whole = any(set(name) <= said for name in metric_names(metric)) and metric not in self._formed.metrics
        names = [words_of(places[path].element.name)[-1] for path in sense.groups if path in places]
        is_by_key = len(names) == len(sense.groups) > 0 and all(name in NUMBERED for name in names)
        if measure.aggregation == "sum" and not is_whole and is_by_key and base.entity(base.primary) is not None:
            self._group(base.primary)
            sense.doubts.append((f"no total is asked for, so each {base.primary} is shown", NO_TOTAL))

    def _nearest(self) -> tuple[str, ...]:
        return nearest({word.word for word in self._words}, self._whole)

    def _doubt_forms(self) -> None:
        """What is said about figures that are compared; `revenue per customer by region`, which may ask for a mean."""
        if self._is_compared:
            self._sentence.use([at for at, word in enumerate(self._words) if word.word in CHANGES], "time")
        grouped = [word.word for word in self._words if word.use == "group"]
        if "per" in grouped and set(grouped) & {"by", "each", "every"} and self._sense.metrics[0].kind == "simple":
            self._sense.doubts.append(("each of what stands after `per` is a group of its own", OF_EACH))

    def _result(self) -> MetricReading:
        sense, dates = self._sense, self._dates
        self._doubt_forms()
        left = self._sentence.left()
        confidence = SURE
        for text in left:
            confidence *= weight(text)
        for _, factor in sense.doubts:
            confidence *= factor
        mentions = dates.mentions
        if len(mentions) > 1:
            confidence *= UNEXPLAINED
        meant = mentions[0].range if mentions else None
        span = None if sense.is_elsewhere else meant
        grain = grain_of(dates) or sense.grain
        groups = [f"{sense.grain_of}__{grain}"] if grain else []
        versus: tuple[datetime, datetime] | Window | None = None
        other = mentions[0].versus if mentions else None
        if other is not None and other.start is not None and other.end is not None:
            versus = (other.start, other.end)
        elif dates.compares is not None and dates.compares.grain != "half":
            versus = Window(1, dates.compares.grain)
        query = MetricQuery(
            metrics=tuple(metric.name for metric in sense.metrics),
            group_by=(*groups, *sense.groups),
            where=tuple(sense.where),
            having=tuple(sense.having),
            start=span.start if span else None,
            end=span.end if span else None,
            order=tuple(sense.order),
            limit=sense.limit,
            versus=versus,
            calendar=self._calendar,
        )
        return MetricReading(
            query,
            round(confidence, 3),
            left,
            self._nearest() if left else (),
            tuple(why for why, _ in sense.doubts),
            tuple(as_read(self._question, mention.start, mention.end, mention.range) for mention in mentions),
            meant,
            other,
            self._formed.metrics,
        )
