"""A question with what its terms have been defined as: phrases in the place of terms, calculations at theirs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from engine.dates.find import find_dates
from engine.planner.calculations import Said, read_calculation
from engine.planner.definitions import Definition, Notes, define, read_notes, stems_of
from engine.planner.elements import Element
from engine.planner.intent import Condition
from engine.planner.words import MAX_CHARS, Token, cues, tokens_of

MAX_PHRASE = 300
LEAST_ALIKE = 4
MAX_USED, MAX_GROWN = 16, 1_200  # definitions of one question, and characters that they may add
_SOME_DAY = datetime(2024, 5, 15, 12)
_ASIDE = re.compile(
    r"(?:,|;|\()\s*(?:where|with|here|and)?\s*(?P<text>[\"']?[A-Za-z][\w -]{0,40}[\"']?\s*"
    r"(?:=|means?\b|stands? for\b|refers? to\b|(?:is|are) (?:defined|calculated|computed|measured)\b|being\b)"
    r"[^?;]{3,200}?)"
    r"(?P<end>\)|[?;.](?=\s|$)|$)",
    re.I,
)
_BRACKET = re.compile(r"\b(?P<name>[A-Z][A-Za-z]*[A-Z]\w*)\s*\((?P<text>(?:[^()]|\([^()]{0,80}\)){4,120})\)")
_OUT = re.compile(
    r"^(?:always |please |note: )?(?:exclude|ignore|leave out|omit|skip|disregard|do not (?:count|include|consider)|"
    r"don't (?:count|include|consider)|never (?:count|include|consider)) (?:all |any |the )*(?P<phrase>[\w' -]{3,80})",
    re.I,
)
_NEVER = re.compile(
    r"^(?P<phrase>[\w' -]{3,60}?) (?:(?:do|does|should|must|are|is) )?"
    r"(?:(?:never|not) (?:be )?(?:count|counted|included|considered)|(?:always )?(?:be )?(?:excluded|ignored|left out))"
    r"(?: .{0,60})?$",
    re.I,
)
_ONLY = re.compile(
    r"^(?:always |please |note: )?(?:only (?:count|include|consider|use|take|look at)"
    r"|(?:count|include|consider|use|take) only) (?:all |the )*(?P<phrase>[\w' -]{3,80})",
    re.I,
)
_SHOW = re.compile(
    r"^(?:please |note: )?always (?:show|return|include|list|report|give|display|output)(?: also)? (?:the )?"
    r"(?P<phrase>[\w' -]{3,60})$",
    re.I,
)
_PER = re.compile(r"^per (?:month|week|quarter|year|day) (?P<body>.{3,})$", re.I)
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z\"'])")
_JOINT = re.compile(
    r"(?:,?\s*\b(?:who|that|which)\b\s+(?:\w+\s+){1,2})?(?:\b(?:in|on|over|for|during|within|from|since|of)\b\s*)?"
    r"(?:\b(?:the|a)\b\s*)?(?:on or (?:after|before)\s*)?$",
    re.I,
)


Compared = Callable[[str], tuple[list[Condition], str]]
"""The comparisons that a phrase spells out with names of columns, and the phrase without them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a term stands that is calculated, or stands again; by characters of the question as it is read."""

    start: int
    end: int
    definition: Definition | None


@dataclass(frozen=True, slots=True)
class Heard:
    """A question as it is read, with the definitions that it uses."""

    question: str
    places: tuple[Place, ...] = ()
    used: tuple[Definition, ...] = ()
    notes: Notes = field(default_factory=Notes)
    said: Mapping[str, Said] = field(default_factory=dict)  # by the definition's text
    conditions: tuple[Condition, ...] = ()
    rules: tuple[str, ...] = ()  # sentences that were put to the question
    has_recipes: bool = False
    is_open: bool = False  # whether a phrase may be read as a measure or in its place

    def mark(self, elements: list[Element]) -> list[Element]:
        """The elements with one for each place, which no other word or value explains."""
        for place in self.places:
            inside = [item for item in elements if item.start < place.end and place.start < item.end]
            if not inside:
                continue
            start, end = inside[0].start, inside[-1].end
            stems = tuple(stem for item in inside for stem in item.stems)
            made = Element(self.question[start:end], stems, start, end, meant=place.definition)
            made.is_used = True  # nothing else reads it
            made.is_ignored = place.definition is None
            at = elements.index(inside[0])
            elements = [*elements[:at], made, *elements[at + len(inside) :]]
        return elements


def hear(
    question: str,
    knowledge: Sequence[str],
    compared: Compared,
    is_span: Callable[[Definition], bool],
    *,
    by_phrase: bool = False,
    with_recipes: bool = False,
    things: Sequence[str] = (),
    given: Sequence[Definition] = (),
) -> Heard:
    """A question with the definitions in some texts, and in itself, put to its terms. Ranges of time are not put.

    A phrase that is a measure is one in the place of its term, or `by_phrase` words of the question. What just says how
    to get at something is put `with_recipes`. `things` are more that the question is about than it says."""
    asked, own, asides = _own_definitions(question[:MAX_CHARS])
    notes = read_notes(knowledge)
    told = {" ".join(stems_of(item.names[0])) for item in notes.definitions}
    asides = [item for item in asides if " ".join(stems_of(item.names[0])) not in told]
    known = [item for item in (*given, *own, *notes.definitions, *asides) if not is_span(item)]
    asked, used = _with_filters(asked, notes.sentences, compared, things)
    recipes = [item for item in notes.recipes if _places(tokens_of(asked), item.names)]
    heard = _Hearing(asked, [*known, *(recipes if with_recipes else ())], compared, by_phrase=by_phrase).hear()
    rest = tuple(sentence for sentence in notes.sentences if sentence not in used)
    return replace(heard, notes=replace(notes, sentences=rest), rules=used, has_recipes=bool(recipes))


def _with_filters(
    question: str, sentences: Sequence[str], compared: Compared, things: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """A question with what texts say to leave out, or to count alone, of the things that it is about."""
    asked = frozenset(stems_of(question))
    used = []
    for sentence in sentences:
        plain = sentence.rstrip(". ")
        shown = _SHOW.match(plain)
        if shown is not None and asked & frozenset(stems_of(shown["phrase"])[:-1]):
            question = f"{question.rstrip()} Return the {shown['phrase']}."
            used.append(sentence)
            continue
        match = _OUT.match(plain) or _NEVER.match(plain) or _ONLY.match(plain)
        phrase = re.sub(r"\s+(?:from|in|when|for|whenever)\s+.*$", "", match["phrase"]) if match else ""
        if match is None or not phrase or stems_of(phrase)[-1:] == () or compared(sentence)[0]:
            continue
        head = re.split(r"\s+(?:that|which|who|whose|with|where)\b", phrase, maxsplit=1)[0]
        noun = (stems_of(head) or stems_of(phrase))[-1]
        is_needed = any(len(thing) >= LEAST_ALIKE and noun.startswith(thing) for thing in things)
        if not (noun in asked or is_needed) or frozenset(stems_of(phrase)) <= asked:
            continue
        word = "only" if match.re is _ONLY else "excluding"
        end = question.rstrip(" ?.!;")
        question = f"{end}, {word} {phrase}{question[len(end) :]}"
        used.append(sentence)
    return question, tuple(used)


def spelled_out(question: str, knowledge: Sequence[str]) -> str:
    """A question and what its terms are defined as, for looking up what it is about."""
    tokens = tokens_of(question)
    known = [item for item in read_notes(knowledge).definitions if _places(tokens, item.names)]
    return " ".join([question, *(body for item in known for body in item.bodies)])


def expand(phrase: str, definitions: Sequence[Definition]) -> str:
    """A phrase with what its own terms are defined as in their place."""
    for definition in definitions:
        found = _places(tokens_of(phrase), definition.names)
        body = definition.bodies[-1]
        if found and not _places(tokens_of(body), definition.names):
            tokens = tokens_of(phrase)
            start, end = tokens[found[0][0]].start, tokens[found[0][1] - 1].end
            phrase = f"{phrase[:start]}{_fitted(body[:MAX_PHRASE], phrase[:start], phrase[end:])}{phrase[end:]}"
    return phrase


def _own_definitions(question: str) -> tuple[str, list[Definition], list[Definition]]:
    """`What is the TAC by country, where TAC means total active customers?`: the question without what it defines."""
    found: list[Definition] = []
    asked = question
    for match in list(_ASIDE.finditer(question)):
        made = define(match["text"].strip())
        rest = asked.replace(match.group(), match["end"] if match["end"] != ")" else "", 1)
        if made is not None and _places(tokens_of(rest), made.names):
            found.append(made)
            asked = rest
    for sentence in _SENTENCE.split(asked):
        made = define(sentence) if not sentence.rstrip().endswith("?") else None
        rest = asked.replace(sentence, "", 1).strip()
        if made is not None and rest and _places(tokens_of(rest), made.names):
            found.append(made)
            asked = rest
    return (
        asked,
        found,
        [
            Definition((match["name"],), (match["text"].strip(),), match.group())
            for match in _BRACKET.finditer(asked)
            if read_calculation(match["text"]) is not None or is_measure_like(match["text"])
        ],
    )


def is_measure_like(phrase: str) -> bool:
    """Whether a phrase is one number: `total amount of successful orders`; not what is told by group or over time."""
    words = re.sub(r"^(?:the|a|an) |(?<=ed )by ", "", phrase.lower()).split()
    kinds = {"aggregates", "count", "share", "ratio"}
    starts = any(kinds & cues().phrases.get(tuple(words[:count]), {}).keys() for count in (1, 2, 3))
    told = {"per", "each", "every", "by", "monthly", "weekly", "daily", "yearly", "latest", "recent", "most"} | {
        "over-month"
    }
    return starts and len(words) > 1 and not told & set(words) and "-over-" not in phrase


def _places(tokens: list[Token], names: Sequence[str]) -> list[tuple[int, int]]:
    """From which token to which any of some names stands, none within another. `on-time` is `on time`."""
    wanted = sorted((_words(stems) for name in names if (stems := stems_of(name))), key=len, reverse=True)
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(tokens):
        end = next((end for words in wanted if (end := _stands(tokens, at, words)) > at), at)
        if end > at:
            found.append((at, end))
        at = max(end, at + 1)
    return found


def _stands(tokens: list[Token], at: int, words: tuple[str, ...]) -> int:
    """Where words end that begin at a token; its place where they do not."""
    end, left = at, words
    while left and end < len(tokens):
        own = tuple(tokens[end].stem.split())
        if not own or left[: len(own)] != own:
            return at
        left, end = left[len(own) :], end + 1
    return at if left else end


def _words(stems: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for stem in stems for word in stem.split())


class _Hearing:
    """One question on its way; definitions of phrases are put into it one after the other."""

    def __init__(self, question: str, known: Sequence[Definition], compared: Compared, *, by_phrase: bool):
        self._question = question
        self._by_phrase = by_phrase
        self._is_open = False
        self._compared = compared
        self._conditions: list[Condition] = []
        self._known = known
        self._calculated: list[Definition] = []
        self._used: list[Definition] = []
        self._said: dict[str, Said] = {}
        self._again: list[Definition] = []

    def hear(self) -> Heard:
        room = len(self._question) + MAX_GROWN
        for definition in self._known:
            if len(self._used) >= MAX_USED or len(self._question) > room:
                break
            found = _places(tokens_of(self._question), definition.names)
            if not found:
                continue
            said = next((made for body in definition.bodies if (made := read_calculation(body)) is not None), None)
            if said is not None and len(definition.bodies) > 1:  # in words as well
                self._is_open = True
                said = None if self._by_phrase else said
            per = _PER.match(definition.bodies[-1])
            if said is None and (per is not None or is_measure_like(_plain_sum(definition.bodies[-1]))):
                self._is_open = True
                body = per["body"] if per is not None else definition.bodies[-1]
                said = None if self._by_phrase else self._measure(body)
            if said is not None:
                self._said[definition.text] = said
                self._calculated.append(definition)
                self._used.append(definition)
            else:
                self._put(definition, found)
        return Heard(
            self._question,
            tuple(self._all_places()),
            tuple(self._used),
            said=self._said,
            conditions=tuple(self._conditions),
            is_open=self._is_open,
        )

    def _measure(self, body: str) -> Said:
        return Said("is", (_without_times(_plain_sum(body)[:MAX_PHRASE], self._question),))

    def _put(self, definition: Definition, found: list[tuple[int, int]]) -> None:
        """The phrase in the place of the term, where it stands first."""
        tokens = tokens_of(self._question)
        start, end = tokens[found[0][0]].start, tokens[found[0][1] - 1].end
        end = _over_bracket(self._question, end, definition)
        before = self._question[:start]
        phrase = _fitted(definition.bodies[-1][:MAX_PHRASE], before, self._question[end:])
        if not phrase or len(before) + len(phrase) > MAX_CHARS:
            return
        conditions, phrase = self._compared(phrase)
        self._conditions += conditions
        self._question = f"{before}{phrase}{self._question[end:]}"
        self._used.append(definition)
        self._again.append(definition)

    def _all_places(self) -> list[Place]:
        tokens = tokens_of(self._question)
        places = []
        for definition in self._calculated:
            reach = -1
            for start, end in _places(tokens, definition.names):
                if tokens[start].start < reach:
                    continue
                is_first, reach = reach < 0, _over_bracket(self._question, tokens[end - 1].end, definition)
                places.append(Place(tokens[start].start, reach, definition if is_first else None))
        for definition in self._again:
            short = definition.names[:1] if definition.names[0].isupper() else ()
            for start, end in _places(tokens, short):
                places.append(Place(tokens[start].start, tokens[end - 1].end, None))
        return places


def _over_bracket(text: str, end: int, definition: Definition) -> int:
    """The end of `PMD (per month demand)`, where the brackets say the term again."""
    match = re.match(r"\s*\(([^()]{2,80})\)", text[end:])
    if match is None:
        return end
    names = {stems_of(name) for name in (*definition.names, *definition.bodies)}
    return end + match.end() if stems_of(match[1]) in names else end


def _fitted(phrase: str, before: str, after: str) -> str:
    """A phrase as it fits into a question: without the aggregate or the time that stands there already."""
    table = cues()
    words = _plain_sum(phrase).split()
    said = [word.lower().strip(",") for word in before.split()[-3:]]
    kinds = _aggregates(tuple(said[-2:])) | _aggregates(tuple(said[-1:]))
    if words and kinds & _aggregates((words[0].lower(),)):
        words = re.sub(r"\s+(?:per|for each|for every|of each) [\w ]{2,40}$", "", " ".join(words[1:])).split()
    if said[-2:] == ["how", "many"] and words and table.phrases.get((words[0].lower(),), {}).get("aggregates") == "sum":
        words = words[1:]
    return _without_times(" ".join(words), f"{before} {after}")


def _without_times(phrase: str, question: str) -> str:
    """A phrase without the time that the question has of its own."""
    theirs = {(item.range.start, item.range.end) for item in find_dates(question, _SOME_DAY).mentions}
    if theirs:
        for item in reversed(find_dates(phrase, _SOME_DAY).mentions):
            if (item.range.start, item.range.end) in theirs or not re.search(r"\d{4}", phrase[item.start : item.end]):
                head = _JOINT.sub("", phrase[: item.start].rstrip() + " ").rstrip(" ,")
                phrase = f"{head}{phrase[item.end :]}"
        phrase = re.sub(r",?\s*(?:inclusive|exclusive|including|excluding) of (?:today|the current \w+).*$", "", phrase)
    return phrase.strip(" ,")


def _plain_sum(phrase: str) -> str:
    """`sum the amounts` of a recipe as words of a question."""
    match = re.match(r"^(?P<verb>sum|count|average)(?: up)? (?:of )?(?:the |all )*(?P<rest>[\w ]{3,60})$", phrase, re.I)
    heads = {"sum": "total", "count": "number of", "average": "average"}
    return phrase if match is None else f"{heads[match['verb'].lower()]} {match['rest']}"


def _aggregates(words: tuple[str, ...]) -> set[str]:
    return {value for kind, value in cues().phrases.get(words, {}).items() if kind in ("aggregates", "count")}
