"""The seam of embedders: what turns texts into vectors of one length, so that what means the same lies near."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


class Embedder(Protocol):
    """`digest` is another text whenever its vectors may be others: an index made with another one is made anew."""

    @property
    def digest(self) -> str: ...

    @property
    def is_cheap(self) -> bool:
        """Whether texts are embedded by words alone, quicker than their vectors are looked up."""
        ...

    async def embed(self, texts: Sequence[str]) -> "np.ndarray":
        """One row of length 1 for each text; the first line of a text weighs more. Raises Unavailable."""
        ...

    async def aclose(self) -> None: ...
