"""A process that brings an index up to date again and again, until it is killed; or that asks it once.

python -m tests.engine.retrieval.index_worker HOME write|ask [COUNT]"""

import asyncio
import sys
from pathlib import Path

from engine.retrieval.retrieval import Retrieval
from tests.engine.catalog.conftest import ADA
from tests.engine.retrieval.conftest import open_folders
from tests.engine.retrieval.test_retrieval import Notes

SENTENCE = "Holidays are thirty days"


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def main(home: Path, what: str, count: int) -> None:
    notes = Notes(SENTENCE)
    retrieval = Retrieval([notes], vectors=open_folders(home))
    if what == "ask":
        hits = await retrieval.search(ADA, "vacation", ("knowledge",))
        say([hit.text for hit in hits] == [SENTENCE])
    for turn in range(count if what == "write" else 0):
        notes.texts[turn + 1] = f"Parcel number {turn} of {home.name}"
        await retrieval.refresh("acme")
        say(turn)
    await retrieval.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0))
