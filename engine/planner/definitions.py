"""What texts say of terms: `GPM (gross profit margin) = (revenue - cost) / revenue`, `an active user is one with ...`.

The texts are data: a sentence of no known form is kept as unread, and does nothing."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.planner.calculations import read_calculation
from engine.planner.words import cues, stem_of, tokens_of

MAX_CHARS = 16_000
MAX_SENTENCES = 200
MAX_SENTENCE = 600
MAX_NAME_WORDS = 6
_EXAMPLE = re.compile(r"[,;(]?\s*\b(?:e\.g\.?|eg|for example|for instance|such as)[,:]?\s[^\n]{0,400}", re.I)
_ENDS = re.compile(r"\n+|;\s+|(?<=[.!?])(?<!\.\.)[\"'\u201d]?\s+(?=[\"'A-Z(`\u201c])|(?<=[a-z0-9)%])\.\s+(?=[a-z])")
_BEGINS = re.compile(
    r"(?<=[A-Za-z0-9)%\"'.])\s+"
    r"(?=(?:To (?=[a-z])|When (?=[a-z])|Always (?=[a-z])|If (?=[a-z])|For (?=[a-z])|Truncate (?=[a-z])|Weekend"
    r"|Last \d|(?:[A-Z][a-z]{0,2}){2,}(?: \([^()\n]{2,80}\))? = |[A-Z]{2,10} (?:means|stands for|refers to) ))"
)
_NAME = r"[\"'\u201c`]?(?P<name>[^\"'\u201c\u201d`=:()\n]{2,80}?)[\"'\u201d`]?"
_LONG = r"(?:\s*\((?P<long>[^()\n]{2,80})\))?"
_EQUALS = re.compile(
    rf"^(?:to (?:calculate|compute|find|get) (?:the )?)?{_NAME}{_LONG}\s*(?:=|:=|:)\s*(?P<body>.+)$", re.I
)
_MEANS = re.compile(
    rf"^(?:here,? |where |the term |a |an |the |our |any )?{_NAME}{_LONG},?\s+"
    r"(?:means?|refers? to|stands? for|denotes?|represents?|(?:is|are) (?:defined|calculated|computed|measured|"
    r"determined|understood|counted|expressed|abbreviated|short|obtained)(?: by (?:taking )?| as| from| for| to be)?"
    r"|equals?|(?:is|are) equal to"
    r"|(?:is|are)(?=\s+\()|(?:is|are)(?=[^.]{3,80}\s(?:[-*+/\u00d7\u00f7]|times|minus|plus|divided by|multiplied by)\s)"
    r"|(?:is|are)(?=\s+(?:those|ones?|anyone|everyone|every|calculating|all)\b)"
    r"|(?:is|are)(?=\s+(?:any |all )?(?:the |an? )?(?:total |average )?"
    r"(?:number|count|total|sum|average|mean|ratio|share|percentage|fraction|proportion|difference|median|maximum"
    r"|minimum|highest|lowest|most recent|latest)\b)"
    r"|(?:is|are)(?=\s+(?:an? |any |all )?[\w-]+ (?:who|whose|that|which|with|where|having|born|made"
    r"|sold|sent|paid|\w{2,}ed|of (?:at|more|less|over|under|\d)|over|above|below|under|longer"
    r"|shorter|larger|smaller|older|younger)\b)|(?:is|are)(?=\s+(?:[\w-]+ ){1,3}whose\b))"
    r"\s+(?P<body>.+)$",
    re.I,
)
_STEPS = re.compile(
    r"^(?:to|when) (?:calculat\w+|comput\w+|get(?:ting)?|find(?:ing)?|determin\w+|measur\w+|deriv\w+|obtain\w*) "
    rf"(?:the )?{_NAME}{_LONG}(?:, (?:you (?:should|must|need to|would|can) |we |please )?"
    r"(?=(?:divide|subtract|multiply|add|sum|count|average|take|use) )|:? (?=(?:divide|subtract|multiply) ))"
    r"(?P<body>.+)$",
    re.I,
)
_BARE = re.compile(r"^(?:'[^']*'|\"[^\"]*\"|-?\d+(?:\.\d+)?|true|false|null)\s*(?:$|(?:and|or|in|for)\b)", re.I)
_RANKED = re.compile(
    r"^((?:[\w-]+ ){0,3}rank(?:ing)?)\b(?: of \w+ \w+)? (?:by|based on|ordered by|according to)\b", re.I
)
_CHAIN = re.compile(r"\s=\s(?!['\"\d-]|true\b|false\b|null\b)|,?\s(?:ie|i\.e\.|that is|in other words),?\s")
_ADJECTIVE = re.compile(r"^(?P<state>[a-z][\w-]*(?: [\w-]+)?) (?P<thing>[a-z]\w+)$", re.I)
_GOES_ON = re.compile(r"^(?:this|it|that|these|they|both|only include|include only)\b", re.I)
_TITLE = re.compile(r"^[^=:]{2,80}:\s")
_RECIPE = re.compile(
    r"^(?:to|when) (?:calculat\w+|comput\w+|get(?:ting)?|find(?:ing)?|determin\w+|measur\w+|deriv\w+|analy[sz]\w+) "
    rf"(?:the )?{_NAME},[^=]{{3,300}}?(?:,| and| then)+ (?:then )?"
    r"(?P<body>(?:calculat|comput|sum|count|averag|find|divid|tak)(?:e|ing)? .+)$",
    re.I,
)
_BY_IT = re.compile(rf"^by {_NAME}{_LONG},? (?:we|i|you) (?:mean|understand)s? (?P<body>.+)$", re.I)
_STATE = re.compile(
    r"^(?:(?:an|a|the|any) )?(?P<thing>[a-z][\w ]{1,40}?) "
    r"(?:is|are|counts? as|(?:is|are) (?:considered|called|regarded as|deemed|said to be)) "
    r"(?P<state>(?:(?:on|in|at|under) )?[a-z][\w-]{2,30}) (?:if|when|whenever|as long as|where) "
    r"(?:(?:it|they|he|she|the[iy]r?|its|his|her) )?(?P<body>.+)$",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Definition:
    """What one term stands for. The first of its bodies that can be read is taken."""

    names: tuple[str, ...]
    bodies: tuple[str, ...]
    text: str
    is_recipe: bool = False  # steps to get at something that the words themselves may say well enough


@dataclass(frozen=True, slots=True)
class Notes:
    """Definitions, and the sentences that define nothing: rules, remarks, and what was not understood."""

    definitions: tuple[Definition, ...] = ()
    sentences: tuple[str, ...] = ()
    recipes: tuple[Definition, ...] = ()  # among the sentences as well
    more: tuple[tuple[str, str], ...] = ()  # sentences that go on about a definition, with that's text


def read_notes(texts: Sequence[str]) -> Notes:
    """The definitions in some texts, each term's first; equal sentences once."""
    definitions: dict[str, Definition] = {}
    rest: list[str] = []
    recipes: list[Definition] = []
    more: list[tuple[str, str]] = []
    left = MAX_CHARS
    for text in texts:
        own: set[str] = set()
        last = ""
        for sentence in _sentences(text[:left]):
            found = define(sentence)
            if last and found is None and _GOES_ON.match(sentence):
                more.append((sentence, last))
            last = found.text if found is not None else last
            if found is None:
                rest.append(sentence)
                recipes += filter(None, [_recipe(sentence)])
                continue
            key = " ".join(stems_of(found.names[0]))
            before = definitions.get(key)
            if before is None or (key in own and is_plainer(before, found)):
                definitions[key] = found
            own.add(key)
        left = max(0, left - len(text))
    return Notes(tuple(definitions.values()), tuple(dict.fromkeys(rest)), tuple(dict.fromkeys(recipes)), tuple(more))


def is_plainer(one: Definition, other: Definition) -> bool:
    """Whether one definition is in words, and the other of the same term calculates it."""
    return not any(map(read_calculation, one.bodies)) and any(map(read_calculation, other.bodies))


def _recipe(sentence: str) -> Definition | None:
    """`To get the success rate per skipper, join trips, group them and calculate the percentage of finished trips.`"""
    match = _RECIPE.match(_EXAMPLE.sub("", sentence).rstrip(".; "))
    names = _variants(_name(match["name"])) if match else ()
    if match is None or any(len(name.split()) > MAX_NAME_WORDS + 3 for name in names):
        return None
    return Definition(names, (_body(match["body"], names[0]),), sentence, is_recipe=True)


def define(sentence: str, *, is_below: bool = False) -> Definition | None:
    """The definition that a sentence is, if it is one. It may stand below a title."""
    plain = _unquoted(_EXAMPLE.sub("", sentence).strip()).rstrip(".; ")
    state = _STATE.match(plain)
    if state is not None:
        thing = state["thing"].strip()
        names: tuple[str, ...] = (
            f"{state['state']} {thing}",
            f"{thing} is {state['state']}",
            f"{thing} are {state['state']}",
        )
        return Definition(names, (f"{thing} with {state['body']}",), sentence)
    for pattern in (_STEPS, _BY_IT, _EQUALS, _MEANS):
        match = pattern.match(plain)
        if match is None or (pattern is _EQUALS and not _is_name(match)):
            continue
        is_title = pattern is _EQUALS and not is_below and _TITLE.match(plain) is not None
        inner = define(match["body"], is_below=True) if is_title else None
        if inner is not None:  # a text below its title
            return replace(inner, names=tuple(dict.fromkeys((*inner.names, _name(match["name"])))))
        names = tuple(dict.fromkeys(filter(_is_short, (_name(match["name"]), _name(match["long"] or "")))))
        if not names or names[0] != _name(match["name"]):
            return None
        parts = [part.strip() for part in _CHAIN.split(_spelled_out(match["body"], names[0])) if part.strip()]
        if (rank := _RANKED.match(parts[-1])) is not None:  # `customer rank by amount` goes by its own words too
            names = (*names, _name(rank[1]))
        bodies = tuple(_body(part, names[0]) for part in reversed(parts))
        if pattern is _STEPS:
            names = tuple(dict.fromkeys(variant for name in names for variant in _variants(name)))
        names = (*names, *_predicates(names[0], bodies[0]))
        more = tuple(part for part in parts[:-1] if len(part.split()) <= MAX_NAME_WORDS)
        return Definition((*names, *more), bodies, sentence, is_recipe=pattern is _STEPS)
    return None


def _spelled_out(body: str, name: str) -> str:
    """`Total Dental Revenue, the summed cost of ...`: what letters stand for, and then what that is."""
    long, comma, rest = body.partition(", ")
    letters = "".join(word[0] for word in re.findall(r"\w+", long) if word.lower() not in ("of", "the", "per", "to"))
    is_long = bool(comma) and letters.lower() == name.lower() and len(name) > 1
    return f"{long} = {rest}" if is_long and re.match(r"(?:the|an?|that is|i\.?e\.?|being|meaning)\b", rest) else body


def stems_of(text: str) -> tuple[str, ...]:
    """The words of a name, in lower case and singular."""
    return tuple(token.stem for token in tokens_of(text) if token.kind in ("word", "number"))


def _is_short(name: str) -> bool:
    return bool(content_of(name)) and len(name.split()) <= MAX_NAME_WORDS


def _is_name(match: re.Match[str]) -> bool:
    """Whether what stands before `=` or `:` is a name, rather than a sentence that goes on with a condition."""
    words = match["name"].lower().split()
    light = {"filter", "join", "where", "use", "always", "using", "that", "if", "is", "are", "should", "must", "only"}
    if _BARE.match(match["body"]):
        return False
    return not (light & set(words)) and not re.search(r"[<>!.]$", match["name"].strip())


def _name(text: str) -> str:
    plain = re.sub(r"^(?:the|a|an|our|each|every|any)\s+", "", text.strip(" ,"), flags=re.I)
    return plain.strip(" ,")


def _variants(name: str) -> tuple[str, ...]:
    """`success rate of trips per skipper` is the success rate of trips, the trip success rate and the success rate."""
    short = re.sub(r"\s+(?:per|for each|for every|of each|by) .*$", "", name, flags=re.I).strip(" ,")
    head, joint, tail = short.partition(" of ")
    others = (f"{' '.join(stems_of(tail))} {head}", head) if joint and len(head.split()) > 1 else ()
    return tuple(dict.fromkeys((name, short, *others)))


def _body(text: str, name: str) -> str:
    """The words that stand for a term. `those with` stands for the thing that the term ends with."""
    plain = re.sub(
        r"^(?:(?:calculate|compute|assess|find|use|take|taking|define|measure|calculating|as|by|that"
        r"|use the formula) )+",
        "",
        _unquoted(text.strip()),
        flags=re.I,
    )
    plain = re.sub(r"\s*\((?:for|over|in|within|during) [^()]{0,80}\)\s*$", "", plain)
    head = name.split()[-1]
    those = r"^(?:all |any |only )?(?:of )?(?:the )?(?:those|ones?|anyone|everyone|any)(?: of them)?\b(?= )"
    plain = re.sub(those, lambda _: head, plain)  # a name is no pattern
    said = re.split(r",? (?:which|that) (?:is|are|means) (?=the |an? )", plain, maxsplit=1)
    return said[-1].strip(" .,;") or plain


def _unquoted(text: str) -> str:
    """Without quotation marks around the whole, or left over from it."""
    for mark in ('"', "'", "`"):
        if (
            text.count(mark) in (1, 2)
            and (text[:1] == mark or text[-1:] == mark)
            and text.count(mark) == ((text[:1] == mark) + (text[-1:] == mark))
        ):
            return text.strip(mark)
    return text.strip("\u201c\u201d")


def _sentences(text: str) -> Iterator[str]:
    count = 0
    text = re.sub(r"\b([ei])\.\s?([ge])\.", r"\1\2", text)
    for line in _ENDS.split(text):
        for part in _BEGINS.split(line or ""):
            sentence = " ".join((part or "").split())[:MAX_SENTENCE]
            if sentence and count < MAX_SENTENCES:
                count += 1
                yield sentence


def _predicates(name: str, body: str) -> tuple[str, ...]:
    """`paid clerks` of clerks that are such are those of whom one says that `clerks are paid`."""
    match = _ADJECTIVE.match(name)
    if match is None or _head(body) != stems_of(match["thing"]):
        return ()
    return tuple(f"{match['thing']} {verb} {match['state']}" for verb in ("are", "is", "that are", "who are"))


def _head(body: str) -> tuple[str, ...]:
    return stems_of(re.sub(r"^(?:the|a|an|all|any)\s+", "", body, flags=re.I))[:1]


def content_of(text: str) -> frozenset[str]:
    """The stems of a text that say what it is about."""
    ignored = cues().ignored
    return frozenset(stem for stem in stems_of(text) if stem not in ignored and not stem_of(stem).isdigit())
