"""Words of a question linked to a schema: which table, column or value each phrase may stand for."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.planner.schema import Column, Schema, Table
from engine.planner.words import Cues, lemma_of, root_of, stem_of

LONGEST = 5
GENERIC = frozenset(["name", "id", "number", "code", "date", "time", "type", "amount", "value", "count"])
"""Last words that may be left out: `country` for country_name."""
UNITS = frozenset(
    [
        "kg",
        "g",
        "lb",
        "km",
        "m",
        "cm",
        "mm",
        "mi",
        "ft",
        "percent",
        "minute",
        "hour",
        "second",
        "day",
        "month",
        "year",
        "eur",
        "usd",
        "gbp",
        "litre",
        "liter",
        "l",
        "mb",
        "gb",
        "ms",
        "min",
        "sec",
        "hr",
        "kwh",
        "mw",
        "celsius",
        "c",
        "f",
    ]
)
"""Last words that say what a number is measured in."""
LIGHT = frozenset(
    [
        "daily",
        "monthly",
        "history",
        "log",
        "info",
        "information",
        "detail",
        "data",
        "fact",
        "dim",
        "table",
        "header",
        "master",
    ]
)
"""Words of a table's name that say little about its rows."""
SYNONYM_FACTOR = 0.8
SHORT_FACTOR = 0.97
KIN_FACTOR = 0.9
ONLY_HEAD = 0.9
LEAST = 0.45
OF_KIND = 0.9
VOWELS = frozenset("aeiouy")
LEAST_PART = 0.3
"""Of the letters of a word that its short form has, at least."""
LEAST_VERB = 5
ACTION_ENDS = ("ing", "ion", "ation", "ment", "al")
LEAST_SPELLED, LEAST_SHORT = 5, 3
MANY_SHORT = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something a phrase may stand for, and how well it fits: 1 is word for word."""

    score: float
    column: Column | None = None
    table: Table | None = None


class Linker:
    """An index from phrases to the tables and columns of a schema."""

    def __init__(self, schema: Schema, cues: Cues):
        self.schema = schema
        self._cues = cues
        self._shorts: dict[str, tuple[str, ...]] = {}

    @cached_property
    def _phrases(self) -> dict[tuple[str, ...], list[Candidate]]:
        found: dict[tuple[str, ...], dict[object, Candidate]] = defaultdict(dict)

        def note(phrase: tuple[str, ...], candidate: Candidate, key: object) -> None:
            is_bare = set(phrase) <= self._cues.sets["bare"]
            if phrase and not is_bare and candidate.score > found[phrase].get(key, Candidate(0.0)).score:
                found[phrase][key] = candidate

        for table in self.schema.tables.values():
            for phrase, score in _parts(table.words):
                note(phrase, Candidate(score, table=table), table.name)
            if len(table.words) > 1 and table.words[-1] not in self._shared_heads:
                note(table.words[-1:], Candidate(ONLY_HEAD, table=table), table.name)
            plain = tuple(word for word in table.words if word not in LIGHT)
            for phrase, score in _parts(plain):
                note(phrase, Candidate(min(score, 0.95), table=table), table.name)
            for column in table.columns:
                for phrase, score in (*_column_phrases(column, table), *self._of_kind(column, table)):
                    note(phrase, Candidate(score, column=column), column.path)
        for phrase, candidate in _role_phrases(self.schema):
            key = candidate.table.name if candidate.table is not None else candidate.column
            note(phrase, candidate, key)
        return {phrase: list(candidates.values()) for phrase, candidates in found.items()}

    def _of_kind(self, column: Column, table: Table) -> list[tuple[tuple[str, ...], float]]:
        """`close price` for the close of daily prices."""
        is_plain = len(column.words) == 1 and column.family in ("number", "date", "time") and not column.is_id
        if not is_plain or len(table.words) < 2 or table.words[-1] in (*LIGHT, *column.words):
            return []
        is_cue = (column.words[0],) in self._cues.phrases or column.words[0] in self._cues.ignored
        return [] if is_cue else [((column.words[0], table.words[-1]), OF_KIND)]

    @cached_property
    def _shared_heads(self) -> frozenset[str]:
        """Last words of tables that say little, or are those of several."""
        heads = [table.words[-1] for table in self.schema.tables.values() if table.words]
        shared = {head for head in heads if heads.count(head) > 1 or lemma_of(head) != head}
        return frozenset(shared) | GENERIC | LIGHT | self._cues.sets["plain_heads"]

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(word for phrase in self._phrases for word in phrase)

    @cached_property
    def _is_short(self) -> bool:
        """Whether the names of this schema leave letters out: where some do, others do."""
        return sum(_has_no_vowel(word) for word in self.schema.raw_words) >= MANY_SHORT

    def _short_forms(self, word: str) -> tuple[str, ...]:
        """Words of the schema that are short for one of a question: `crs` for course, `stud` for student."""
        if len(word) < LEAST_SPELLED or word in self._words or word.endswith(("ing", "ed")):
            return ()
        known = self._shorts.get(word)
        if known is None:
            known = self._shorts[word] = tuple(
                short
                for short in self._words
                if short[:1] == word[:1]
                and max(LEAST_SHORT, LEAST_PART * len(word)) <= len(short) <= len(word) - 2
                and (
                    (_has_no_vowel(short) and _is_skeleton(short, word))
                    or (self._is_short and word.startswith(short) and short[-1] not in VOWELS)
                )
            )
        return known

    def _base_forms(self, word: str) -> list[str]:
        """`close` of the closing price, where the schema has no such word of its own."""
        if not word.endswith("ing") or len(word) < LEAST_VERB + 1 or word in self._words:
            return []
        root = word.removesuffix("ing")
        return [base for base in (root, root + "e", root[:-1]) if len(base) >= LEAST_SHORT and base in self._words]

    @cached_property
    def _roots(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for word in self._words:
            found[root_of(word)].append(word)
        return found

    def _kin_of(self, word: str) -> list[str]:
        """Words of the schema made of the same root: `consult` for consultation, but what was reported is no report."""
        is_own = word in self._words or len(word) <= LEAST_SHORT
        is_verb = word.endswith(("ed", "ing")) or (lemma_of(word) != word and not word.endswith("s"))
        return [] if is_own or is_verb else self._roots.get(root_of(word), [])

    def _units_of(self, stem: str) -> list[str]:
        return [unit for word, unit in self._cues.units.items() if stem in (word, stem_of(word))]

    def related(self, verb: str) -> list[Table]:
        """The table whose rows say that something was done: bookings of `booked`, rides of `ridden`."""
        wanted = self._cues.events.get(verb, ())
        for word in wanted:
            found = [table for table in self.schema.tables.values() if _says(table, word)]
            if found:
                return [min(found, key=lambda table: len(table.words))]
        is_past = verb.endswith("ed") or (lemma_of(verb) != verb and not verb.endswith(("s", "ing")))
        if not is_past or len(verb) < LEAST_VERB:
            return []
        roots = {verb[:-2], verb[:-1], lemma_of(verb)}
        return [
            table
            for table in self.schema.tables.values()
            if any(_words_of(table) in ((root,), *((root + end,) for end in ACTION_ENDS)) for root in roots)
        ][:1]

    def find(self, stems: tuple[str, ...]) -> list[Candidate]:
        """What a phrase may stand for, the best first."""
        words = tuple(part for stem in stems for part in stem.split())
        found = {_key(item): item for item in self._phrases.get(words, ())}
        if len(stems) == 1 and len(words) > 1:  # `e-mail` for email
            for item in self._phrases.get(("".join(words),), ()):
                found.setdefault(_key(item), item)
        for place, word in enumerate(words):
            # A verb stands for a column by itself, not as a part of its name.
            verbs = self._cues.verbs.get(word, ()) if len(words) == 1 else ()
            others = [(other, SYNONYM_FACTOR) for other in (*self._cues.synonyms.get(word, ()), *verbs)]
            others += [(base, SHORT_FACTOR) for base in self._base_forms(word) if len(words) > 1]
            others += [(kin, KIN_FACTOR) for kin in self._kin_of(word)]
            if len(words) == 1 and place == 0:
                others = [*others, *((unit, 1.0) for unit in self._units_of(stems[0]))]
            for other, factor in (*others, *((short, SHORT_FACTOR) for short in self._short_forms(word))):
                for item in self._phrases.get((*words[:place], *other.split(), *words[place + 1 :]), ()):
                    if other in self._cues.units.values() and item.column is not None and "per" in item.column.words:
                        continue  # the price of a kilo is none of kilos
                    if item.column is not None and item.column.words[-1] in self._cues.sets["scales"] - {other}:
                        continue  # a price level is no price
                    score = item.score * factor
                    if score > found.get(_key(item), Candidate(0.0)).score:
                        found[_key(item)] = Candidate(score, item.column, item.table)
        return sorted((item for item in found.values() if item.score >= LEAST), key=lambda item: -item.score)


def _words_of(table: Table) -> tuple[str, ...]:
    return tuple(item for item in table.words if item not in LIGHT)


def _says(table: Table, word: str) -> bool:
    return _words_of(table)[-1:] == (word,) and len(_words_of(table)) <= 2


def _has_no_vowel(word: str) -> bool:
    return len(word) > 1 and word.isalpha() and not VOWELS & set(word)


def _is_skeleton(short: str, word: str) -> bool:
    """Whether letters stand in a word in this order, the first in front: `svc` in service."""
    rest = iter(word)
    return all(letter in rest for letter in short)


def _key(item: Candidate) -> object:
    return item.table.name if item.table is not None else item.column


def _parts(words: tuple[str, ...]) -> list[tuple[tuple[str, ...], float]]:
    """Runs of words in a name; the fewer are left out, the better, and the last word says most."""
    runs = []
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            share = (end - start) / len(words)
            is_head = end == len(words)
            runs.append((words[start:end], 1.0 if share == 1 else (0.5 if is_head else 0.4) + 0.4 * share))
    return runs


def _column_phrases(column: Column, table: Table) -> list[tuple[tuple[str, ...], float]]:
    words = column.words
    phrases = _parts(words)
    if len(words) > 1 and words[-1] in GENERIC and not column.is_id:
        phrases += [(words[:-1], 0.9)]
    if len(words) > 1 and words[-1] in UNITS and column.family == "number":
        phrases += [(words[:-1], 0.9)]
    if words[-1] in ("email", "mail"):
        phrases += [((*words, "address"), 0.95)]
    if words[-1] in ("phone", "telephone", "mobile"):
        phrases += [((*words, "number"), 0.95)]
    if column.family == "text" and words[-1] not in GENERIC:
        phrases += [((*words, "name"), 0.85)]
    if len(words) > 1 and words[0] == "is":
        phrases += [(words[1:], 0.95)]
    if words[: len(table.words)] == table.words and len(words) > len(table.words):
        phrases += [(words[len(table.words) :], 0.9)]
    is_own = words[0] not in ("is", "has", "was") and words[-1] not in ("at", "on", "by", "in")
    whole = [(phrase, score) for phrase, score in phrases if phrase == words or score >= 0.9]
    for owner in {table.words, table.words[-1:], table.words[:1]} if is_own else ():
        phrases += [((*owner, *phrase), min(1.0, score)) for phrase, score in whole]
    if column.is_id and column in table.key:
        phrases += [((*table.words, "id"), 1.0), ((*table.words[-1:], "id"), 0.95), (("id",), 0.6)]
    return phrases


def _role_phrases(schema: Schema) -> Iterator[tuple[tuple[str, ...], Candidate]]:
    """What tables in a role and their columns go by: `sender`, `home branch`, `destination city`."""
    for name, (_, role, _) in schema.roles.items():
        table = schema.tables[name]
        things = table.words[len(role) :]
        for last in {things, things[-1:]}:
            yield (*role, *last), Candidate(1.0, table=table)
            for word in _doing(role):
                yield (word, *last), Candidate(0.95, table=table)
        yield role, Candidate(0.9, table=table)
        for column in table.columns:
            if not column.is_id:
                yield (*role, *column.words), Candidate(1.0, column=column)
                yield (*role, *things, *column.words), Candidate(1.0, column=column)
        if len(table.labels) == 1:
            yield (*role, "name"), Candidate(0.97, column=table.labels[0])


def _doing(role: Sequence[str]) -> list[str]:
    """`borrowing` of a borrower."""
    roots = [role[-1][: -len(end)] for end in ("er", "or") if role[-1].endswith(end) and len(role[-1]) > 5]
    return [root.rstrip("e") + "ing" for root in roots]
