"""Vectors without a model: words, parts of words and ideas, each hashed to a few places of a vector."""

import asyncio
import math
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.retrieval.words import language, telling_words

if TYPE_CHECKING:
    import numpy as np

SIZE = 384
TITLE_WEIGHT = 2.5
PARTS_WEIGHT, IDEA_WEIGHT = 0.55, 0.75
PART_LENGTH = 3
PIECE = 256  # texts between two looks at the event loop


class LexicalEmbedder:
    """Reads nothing and needs nothing. What it takes for near are shared words, shared parts, shared ideas."""

    digest = "lexical-1"
    is_cheap = True

    async def embed(self, texts: Sequence[str]) -> "np.ndarray":
        return await asyncio.to_thread(embed_words, texts)

    async def aclose(self) -> None:
        """There is nothing to close."""


def embed_words(texts: Sequence[str]) -> "np.ndarray":
    """One row of length 1 for each text; a text without words is a row of zeros. Blocking."""
    import numpy as np  # lazily: 10 MB, for searches alone

    found = np.zeros((len(texts), SIZE), dtype=np.float32)
    for number, text in enumerate(texts):
        weights: dict[str, float] = {}
        title, _, rest = text.partition("\n")
        for part, weight in ((title, TITLE_WEIGHT), (rest, 1.0)):
            for word in telling_words(part) if part else ():
                weights[word] = weights.get(word, 0.0) + weight
        row = [0.0] * SIZE
        for word, weight in weights.items():
            places, values = _features(word)
            factor = math.sqrt(weight)
            for place, value in zip(places, values, strict=True):
                row[place] += factor * value
        found[number] = row
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    found /= np.where(lengths == 0, 1, lengths)
    return found


@lru_cache(maxsize=16_384)
def _features(word: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Where a word counts, and how much."""
    found: dict[int, float] = {}

    def note(feature: str, weight: float) -> None:
        number = zlib.crc32(feature.encode("utf-8", "replace"))
        place, sign = (number >> 1) % SIZE, 1.0 if number & 1 else -1.0
        found[place] = found.get(place, 0.0) + sign * weight

    note(f"w:{word}", 1.0)
    framed = f"^{word}$"
    parts = {framed[at : at + PART_LENGTH] for at in range(len(framed) - PART_LENGTH + 1)}
    for part in parts:
        note(f"p:{part}", PARTS_WEIGHT / math.sqrt(len(parts)))
    for idea in language().ideas.get(word, ()):
        note(f"i:{idea}", IDEA_WEIGHT)
    return tuple(found), tuple(found.values())
