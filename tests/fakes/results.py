"""Whole results in memory, by owner, with an expiry."""

from dataclasses import dataclass, field

from core.context import Principal
from core.errors import NotFound
from engine.results.kept import KeptResult


@dataclass
class FakeResults:
    """`now` is the clock; results last `lifetime_s`."""

    lifetime_s: float = 60.0
    now: float = 0.0
    kept: dict[tuple[str, str, str], tuple[float, KeptResult]] = field(default_factory=dict)

    async def save(self, principal: Principal, tool: str, result_json: bytes) -> str:
        result_id = f"r{len(self.kept)}"
        self.kept[principal.tenant, principal.subject, result_id] = (self.now, KeptResult(tool, result_json))
        return result_id

    async def load(self, principal: Principal, result_id: str) -> KeptResult:
        at, stored = self.kept.get((principal.tenant, principal.subject, result_id), (float("-inf"), None))
        if stored is None or self.now > at + self.lifetime_s:
            raise NotFound(f"No result {result_id!r}.")
        return stored
