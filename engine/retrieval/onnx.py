"""Vectors of a model in a local ONNX file, which must be the very file that the operator named."""

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import Unavailable
from engine.models.model import EmbedderConfig

if TYPE_CHECKING:
    import numpy as np

MAX_TOKENS = 256
BATCH = 16
THREADS = 2
HASH_BYTES = 2**20


class OnnxEmbedder:
    """A transformer whose last states are averaged, unless it gives one vector for each text by itself."""

    is_cheap = False

    def __init__(self, config: EmbedderConfig):
        self._config = config
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any, set[str]] | None = None
        self.digest = f"onnx-{config.sha256[:16]}"

    async def embed(self, texts: Sequence[str]) -> "np.ndarray":
        return await asyncio.to_thread(self._embed, texts)

    async def aclose(self) -> None:
        """The model goes with the process."""

    def _embed(self, texts: Sequence[str]) -> "np.ndarray":
        import numpy as np  # lazily: 10 MB, for searches alone

        with self._lock:
            session, tokenizer, inputs = self._load()
            pieces = [
                self._run(session, tokenizer, inputs, texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)
            ]
        found = np.concatenate(pieces) if pieces else np.zeros((0, 1), dtype=np.float32)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return (found / np.where(lengths == 0, 1, lengths)).astype(np.float32)

    def _run(self, session: Any, tokenizer: Any, inputs: set[str], texts: Sequence[str]) -> "np.ndarray":
        import numpy as np

        encoded = tokenizer.encode_batch([text or " " for text in texts])
        ids = np.array([item.ids for item in encoded], dtype=np.int64)
        mask = np.array([item.attention_mask for item in encoded], dtype=np.int64)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        out = session.run(None, {name: value for name, value in given.items() if name in inputs})[0]
        if out.ndim == 2:
            return out  # type: ignore[no-any-return]
        weights = mask[:, :, None].astype(np.float32)
        return (out * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)  # type: ignore[no-any-return]

    def _load(self) -> tuple[Any, Any, set[str]]:
        """The model and its tokenizer, once. Raises Unavailable."""
        if self._loaded is None:
            path, tokenizer_path = Path(self._config.path), Path(self._config.tokenizer)
            _check(path, self._config.sha256)
            try:
                import onnxruntime  # type: ignore[import-untyped]  # lazily: 70 MB, where a model is configured
                from tokenizers import Tokenizer
            except ImportError:
                raise Unavailable(
                    "A local embedder needs the packages onnxruntime and tokenizers.",
                    hint="Have the operator install them, or take another embedder in models.yml.",
                ) from None
            self._loaded = _opened(onnxruntime, Tokenizer, path, tokenizer_path)
        return self._loaded


def _opened(runtime: Any, tokenizers: Any, path: Path, tokenizer_path: Path) -> tuple[Any, Any, set[str]]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        tokenizer = tokenizers.from_file(str(tokenizer_path))
    except Exception as error:  # the one class of what both libraries raise for files
        raise Unavailable(
            "The embedder's model or tokenizer cannot be opened.", hint="Have the operator look at models.yml."
        ) from error
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    return session, tokenizer, {item.name for item in session.get_inputs()}


def _check(path: Path, wanted: str) -> None:
    """Refuse a file that is not the one that was named. Raises Unavailable."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(HASH_BYTES):
                found.update(piece)
    except OSError:
        raise Unavailable("The embedder's model is not there.", hint="Have the operator look at models.yml.") from None
    if not wanted or found.hexdigest() != wanted.lower():
        raise Unavailable(
            "The embedder's model is not the file whose SHA-256 models.yml names.",
            hint="Have the operator put in place the file that was meant, or name its SHA-256.",
        )
