"""Search of the catalog at 10,000 tables of 20 columns: CPU of building its index once, and of a search."""

import random
import time

from bench._measure import show
from core.context import Principal
from engine.catalog.annotations import TableNotes
from engine.catalog.search import build_index, find_in
from engine.catalog.snapshots import Snapshot, make_snapshot
from engine.catalog.views import View
from engine.catalog.words import split_words
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.policy.rules import open_to_all

TABLES, COLUMNS, ROUNDS = 10_000, 20, 5
QUESTIONS = ("column", "ns1 column 2", "ab cd ef", "note", "a", "co ns")
ADA = Principal("ada", "acme")


def big_snapshot() -> Snapshot:
    chance = random.Random(7)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(3000)]

    def column(place: int) -> ColumnInfo:
        name = f"column_{place}" if place < 4 else f"{chance.choice(words)}_{chance.choice(words)}"
        return ColumnInfo(name, "bigint", True, place)

    relations = [
        RelationInfo(
            f"ns{number % 50}.{chance.choice(words)}_{chance.choice(words)}_{number}",
            tuple(column(place) for place in range(COLUMNS)),
        )
        for number in range(TABLES)
    ]
    return make_snapshot(ConnectionSpec("acme", "big", "big", "sqlite"), relations, 0.0)


def main() -> None:
    snapshot = big_snapshot()
    view = View(ADA, snapshot, "open", lambda key: open_to_all(snapshot.relations[key]))
    started = time.process_time()
    indexed = build_index(snapshot, {snapshot.names[0]: TableNotes("A table of note.")})
    show(f"index of {TABLES:,} tables x {COLUMNS} columns", "s CPU", [time.process_time() - started], 3.0)
    for question in QUESTIONS:
        words = list(dict.fromkeys(split_words(question)))
        taken_ms = []
        for _ in range(ROUNDS):
            started = time.process_time()
            find_in(view, indexed, words, 20)
            taken_ms.append((time.process_time() - started) * 1000)
        show(f"search {question!r}", "ms CPU", taken_ms, 20.0)


if __name__ == "__main__":
    main()
