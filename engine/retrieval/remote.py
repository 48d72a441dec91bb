"""Vectors of any endpoint that speaks OpenAI's protocol, called through the gate for outbound calls."""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument, PlatformError, Unavailable
from engine.egress.client import EgressClient
from engine.models.model import EmbedderConfig

if TYPE_CHECKING:
    import numpy as np

BATCH = 64
MAX_TEXT_CHARS = 8_000
MAX_ANSWER_BYTES = 64 * 2**20
MAX_SIZE = 8_192
TIMEOUT_S = 60.0
TRIES = 2


class RemoteEmbedder:
    """Texts go to the endpoint that the operator named, and nowhere else."""

    is_cheap = False

    def __init__(self, config: EmbedderConfig, egress: EgressClient):
        self._config = config
        self._egress = egress
        said = f"{config.api_base}\n{config.model}"
        self.digest = "openai-" + hashlib.sha256(said.encode()).hexdigest()[:16]

    async def embed(self, texts: Sequence[str]) -> "np.ndarray":
        import numpy as np  # lazily: 10 MB, for searches alone

        rows: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            rows += await self._ask([text[:MAX_TEXT_CHARS] or " " for text in texts[start : start + BATCH]])
        if len({len(row) for row in rows}) > 1:
            raise _odd()
        found = np.asarray(rows, dtype=np.float32)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        found /= np.where(lengths == 0, 1, lengths)
        return found

    async def _ask(self, texts: Sequence[str]) -> list[list[float]]:
        body = json.dumps({"model": self._config.model, "input": list(texts), "encoding_format": "float"}).encode()
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self._config.key:
            headers["authorization"] = f"Bearer {self._config.key}"
        for left in reversed(range(TRIES)):
            try:
                answer = await self._egress.post(
                    f"{self._config.api_base.rstrip('/')}/embeddings",
                    body=body,
                    headers=headers,
                    max_bytes=MAX_ANSWER_BYTES,
                    timeout_s=TIMEOUT_S,
                )
                if answer.status < 300:
                    return _rows(answer.json(), len(texts))
                if answer.status < 500 and answer.status != 429:
                    raise InvalidArgument(
                        f"The embedder refuses what it is asked ({answer.status}).",
                        hint="Have the operator look at `embedder` in models.yml.",
                    )
            except Unavailable:
                if not left:
                    raise
        raise Unavailable("The embedder does not answer.", hint="Retry in a moment.")

    async def aclose(self) -> None:
        await self._egress.aclose()


def _rows(answer: Any, count: int) -> list[list[float]]:
    """The vectors of an answer in the order of the texts. Raises Unavailable where it is not what was asked for."""
    try:
        items = sorted(answer["data"], key=lambda item: item["index"])
        rows = [[float(value) for value in item["embedding"]] for item in items]
    except (KeyError, TypeError, ValueError):
        raise _odd() from None
    is_sane = len(rows) == count and all(0 < len(row) <= MAX_SIZE and all(map(math.isfinite, row)) for row in rows)
    if not is_sane:
        raise _odd()
    return rows


def _odd() -> PlatformError:
    return Unavailable("The embedder did not answer with vectors.", hint="Is it an endpoint for embeddings?")
