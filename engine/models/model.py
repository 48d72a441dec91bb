"""A language model as somebody may ask it: its name at the provider, where it is, what it can and what it costs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Literal

Strength = Literal["small", "strong"]
NONE = "none"  # in the place of a model's name: answer without one
MILLION = 1_000_000

# Providers of litellm whose calls are known to go through the client that they are given.
OPENAI_LIKE = frozenset(
    [
        "openai",
        "lm_studio",
        "perplexity",
        "cerebras",
        "nvidia_nim",
        "sambanova",
        "moonshot",
        "llamafile",
        "litellm_proxy",
    ]
)
BY_HTTP = frozenset(
    [
        "anthropic",
        "gemini",
        "mistral",
        "groq",
        "deepseek",
        "openrouter",
        "together_ai",
        "xai",
        "fireworks_ai",
        "ollama_chat",
        "hosted_vllm",
        "databricks",
        "huggingface",
    ]
)
PROVIDERS = OPENAI_LIKE | BY_HTTP


@dataclass(frozen=True, slots=True)
class Price:
    """USD for a million tokens read and written."""

    input_usd_per_million: Decimal = Decimal(0)
    output_usd_per_million: Decimal = Decimal(0)

    def nano(self, tokens_in: int, tokens_out: int) -> int:
        """Nano-dollars, rounded up."""
        usd = self.input_usd_per_million * tokens_in + self.output_usd_per_million * tokens_out
        return int((usd * 1000).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `strength` small: single structured calls; strong: loops of native tool calls."""

    name: str
    model: str  # as litellm names it: provider/name
    api_base: str = ""
    key: str = field(default="", repr=False)
    strength: Strength = "small"
    context_tokens: int = 8192
    max_output_tokens: int = 1024
    price: Price = Price()
    timeout_s: float = 60.0
    fallbacks: tuple[str, ...] = ()
    tenants: frozenset[str] = frozenset()  # of the file: who may use it; none is everybody
    is_of_file: bool = False
    has_key: bool = False
    version: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0]


@dataclass(frozen=True, slots=True)
class EmbedderConfig:
    """What turns texts into vectors; `kind` lexical needs nothing else."""

    kind: Literal["lexical", "openai", "onnx"] = "lexical"
    model: str = ""
    api_base: str = ""
    key: str = field(default="", repr=False)
    path: str = ""
    sha256: str = ""
    tokenizer: str = ""


@dataclass(frozen=True, slots=True)
class ModelsFile:
    """What models.yml says; empty where there is none."""

    models: Mapping[str, Model] = field(default_factory=dict)
    default: str = ""
    embedder: EmbedderConfig = EmbedderConfig()
    index_url: str = ""
