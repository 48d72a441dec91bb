"""Schema linking at 10,000 tables of 20 columns: retrieval of tables and columns for a question, and the planner's own.

A process of its own for each measurement: CPU of building the index once, of a question, and what memory grows to."""

import asyncio
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench._measure import show
from core.context import Principal
from engine.catalog.annotations import Notes
from engine.catalog.search import Hits, build_index, find_in
from engine.catalog.snapshots import Snapshot, make_snapshot
from engine.catalog.views import View
from engine.catalog.words import split_words
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.policy.index import PolicySet
from engine.policy.rules import open_to_all
from engine.retrieval.folders import SealedFolders
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.tables import TableSource

TABLES, COLUMNS, ROUNDS = 10_000, 20, 5
BUDGET_MS, BUDGET_MB = 300.0, 200.0
ADA = Principal("ada", "acme")
QUESTIONS = (
    "Which customers spent the most on orders last month?",
    "total payment amount per region and product category in 2025",
    "How long were deliveries late, by carrier?",
    "average salary by department",
    "what is the status of invoice 4711",
)
SUBJECTS = split_words(
    "customer order product invoice payment shipment supplier employee department salary account contract ticket visit"
    " campaign region store warehouse stock price discount refund carrier vehicle trip machine sensor reading repair"
    " patient doctor claim policy student course mark booking room guest review session event device user role"
)
PROPERTIES = split_words(
    "id name status type code amount total count date created updated closed region country city category quantity rate"
    " score owner source target start end duration currency comment level version number email phone price weight"
)
CANDIDATES = 30


def big_snapshot() -> Snapshot:
    """Names as people give them, far too many of them alike."""
    chance = random.Random(7)

    def relation(number: int) -> RelationInfo:
        name = f"ns{number % 50}.{chance.choice(SUBJECTS)}_{chance.choice(SUBJECTS)}_{number}"
        names = {f"{chance.choice(SUBJECTS)}_{chance.choice(PROPERTIES)}" for _ in range(2 * COLUMNS)}
        columns = (ColumnInfo(column, chance.choice(("bigint", "text", "date")), True, place)
                   for place, column in enumerate(sorted(names)[:COLUMNS]))  # fmt: skip
        return RelationInfo(name, tuple(columns))

    return make_snapshot(ConnectionSpec("acme", "big", "big", "sqlite"), map(relation, range(TABLES)), 0.0)


class BigCatalog:
    """As much of a catalog as retrieval asks, over one snapshot in memory."""

    def __init__(self, snapshot: Snapshot):
        self._snapshot = snapshot
        self._view = View(ADA, snapshot, "open", lambda key: open_to_all(snapshot.relations[key]))
        self._indexed: Any = None
        self.annotations = SimpleNamespace(notes=self._notes)
        self.policies = SimpleNamespace(all=self._policies)
        self.connections = SimpleNamespace(listing=self._connections)

    async def snapshot(self, by: Principal, connection_id: str) -> Snapshot:
        return self._snapshot

    async def view(self, by: Principal, connection_id: str) -> View:
        return self._view

    async def search(self, by: Principal, q: str, limit: int) -> Hits:
        if self._indexed is None:
            self._indexed = build_index(self._snapshot, {})
        return Hits(find_in(self._view, self._indexed, split_words(q), limit), [])

    async def _notes(self, tenant: str) -> Notes:
        return Notes((0, 0.0, 0, 0.0), {})

    async def _policies(self, tenant: str) -> PolicySet:
        return PolicySet((0, 0, 0.0), {})

    async def _connections(self, tenant: str) -> list[Any]:
        return [SimpleNamespace(connection_id="big")]


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def open_retrieval(folder: Path, snapshot: Snapshot) -> Retrieval:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher, nonce = AESGCM(b"k" * 32), b"\0" * 12
    vectors = SealedFolders(
        folder / "index",
        folder / "tmp",
        seal=lambda tenant, data, name: cipher.encrypt(nonce, data, name),
        unseal=lambda tenant, data, name: cipher.decrypt(nonce, data, name),
    )
    return Retrieval([TableSource(BigCatalog(snapshot))], vectors=vectors)  # type: ignore[arg-type]


async def build(folder: Path) -> None:
    """What the first search does beside others' work: made once, kept in the home."""
    snapshot = big_snapshot()
    before, started = memory_mb(), time.process_time()
    retrieval = open_retrieval(folder, snapshot)
    await retrieval.refresh("acme")
    show(f"vectors of {TABLES:,} tables x {COLUMNS} columns", "s CPU", [time.process_time() - started])
    await link(retrieval, snapshot, QUESTIONS[0])
    show("memory grown while they are made, and asked", "MB", [peak_mb() - before], BUDGET_MB)
    await retrieval.aclose()


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def ask(folder: Path) -> None:
    """Another process, which finds the vectors made: retrieval, then the planner on what was retrieved."""
    snapshot = big_snapshot()
    before, started = memory_mb(), time.process_time()
    retrieval = open_retrieval(folder, snapshot)
    await link(retrieval, snapshot, QUESTIONS[0])
    show("first question: ChromaDB imported, words indexed", "s CPU", [time.process_time() - started])
    for question in QUESTIONS:
        cpu_ms, wall_ms = [], []
        for _ in range(ROUNDS):
            started, began = time.process_time(), time.monotonic()
            await link(retrieval, snapshot, question)
            cpu_ms.append((time.process_time() - started) * 1000)
            wall_ms.append((time.monotonic() - began) * 1000)
        show(f"linking {question[:44]!r}", "ms CPU", cpu_ms, BUDGET_MS)
    show("memory grown by linking", "MB", [peak_mb() - before], BUDGET_MB)
    await retrieval.aclose()


async def link(retrieval: Retrieval, snapshot: Snapshot, question: str) -> None:
    """Tables and columns that a question may be about, in words that the planner reads."""
    from engine.planner.linking import Linker
    from engine.planner.schema import Relation, read_schema
    from engine.planner.words import cues

    hits = await retrieval.search(ADA, question, ("table", "column"), 60, "big")
    names = list(dict.fromkeys(hit.table for hit in hits))[:CANDIDATES]
    given = [snapshot.relations[name.lower()] for name in names]
    relations = [Relation(item.name, [(one.name, one.data_type) for one in item.columns]) for item in given]
    linker = Linker(read_schema(relations, cues()), cues())
    for word in split_words(question):
        linker.find((word,))


def main() -> None:
    if len(sys.argv) > 2:
        asyncio.run({"build": build, "ask": ask}[sys.argv[1]](Path(sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        for step in ("build", "ask"):
            subprocess.run([sys.executable, "-m", "bench.linking", step, folder], check=True)


if __name__ == "__main__":
    main()
