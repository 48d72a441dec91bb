"""ChromaDB behind a few functions: opened in a folder that no other process has, without telemetry or models."""

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.retrieval.vectors import Broken, Changes

if TYPE_CHECKING:
    import numpy as np

BATCH = 2_000
SETTINGS = {"hnsw": {"space": "cosine", "ef_construction": 100, "ef_search": 200}}
_opening = threading.Lock()


class Shelf:
    """One folder of vectors, a collection for each kind. Blocking; one call at a time."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._client = _open(folder)
        with _translated():
            names = [item.name for item in self._client.list_collections()]
            self._collections = {name: self._client.get_collection(name, embedding_function=None) for name in names}

    def digests(self) -> dict[str, dict[str, str]]:
        with self._lock, _translated():
            return {_kind(name): _digests(item) for name, item in self._collections.items()}

    def nearest(self, kind: str, vector: "np.ndarray", count: int) -> list[tuple[str, float]]:
        with self._lock, _translated():
            collection = self._collections.get(_name(kind))
            size = 0 if collection is None else collection.count()
            if collection is None or not size:
                return []
            found = collection.query(
                query_embeddings=vector.reshape(1, -1), n_results=min(count, size), include=["distances"]
            )
            return [(ref, 1.0 - distance) for ref, distance in zip(found["ids"][0], found["distances"][0], strict=True)]

    def apply(self, changes: Changes) -> None:
        with self._lock, _translated():
            for kind, refs in changes.removed.items():
                for piece in _pieces(refs):
                    self._collections[_name(kind)].delete(ids=list(piece))
            for kind, (refs, digests, vectors) in changes.added.items():
                collection = self._collection(kind)
                for start in range(0, len(refs), BATCH):
                    upto = slice(start, start + BATCH)
                    metadatas = [{"digest": digest} for digest in digests[upto]]
                    collection.upsert(ids=list(refs[upto]), embeddings=vectors[upto], metadatas=metadatas)

    def close(self) -> None:
        """Give back memory and files; the folder goes too."""
        with self._lock:
            self._client.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pause(self) -> None:
        """Close, but leave the folder with everything written."""
        with self._lock:
            self._client.close()

    def _collection(self, kind: str) -> Any:
        name = _name(kind)
        if name not in self._collections:
            # Without a function of its own ChromaDB would fetch a model at the first text.
            self._collections[name] = self._client.create_collection(
                name,
                embedding_function=None,
                configuration=SETTINGS,
            )
        return self._collections[name]


def _open(folder: Path) -> Any:
    from chromadb import PersistentClient  # lazily: 50 MB
    from chromadb.config import Settings

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = Settings(
        _env_file=None,
        chroma_api_impl="chromadb.api.rust.RustBindingsAPI",
        anonymized_telemetry=False,
        allow_reset=False,
        chroma_otel_collection_endpoint="",
    )
    with _opening, _translated():
        return PersistentClient(os.fspath(folder), settings=settings)


@contextmanager
def _translated() -> Iterator[None]:
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, ValueError, OSError, KeyError, RuntimeError) as error:
        raise Broken("The index of a tenant cannot be read.", hint="It is made anew by the next search.") from error


def _digests(collection: Any) -> dict[str, str]:
    found = collection.get(include=["metadatas"])
    return {ref: str(held["digest"]) for ref, held in zip(found["ids"], found["metadatas"], strict=True)}


def _name(kind: str) -> str:
    return f"kind_{kind}"


def _kind(name: str) -> str:
    return name.removeprefix("kind_")


def _pieces(refs: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(refs), BATCH):
        yield refs[start : start + BATCH]
