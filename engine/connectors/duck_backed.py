"""What connectors share whose statements run in DuckDB: all but where their relations come from."""

from collections.abc import Mapping

from core.context import Cancellation
from engine.connectors.connector import ArrowStream, QueryLimits
from engine.connectors.duck import Duck, DuckPlan
from engine.connectors.opened import Opened
from engine.connectors.stream import BatchStream, in_thread


class DuckBacked:
    """Runs statements in one DuckDB instance of its own, opened by the first of them."""

    dialect = "duckdb"

    def __init__(self, plan: DuckPlan):
        self._duck = Opened(lambda: Duck(plan), Duck.close)

    async def execute(
        self, sql: str, parameters: Mapping[str, str], *, limits: QueryLimits, cancelled: Cancellation
    ) -> ArrowStream:
        duck = await self._duck.get()
        return await BatchStream.open(duck.statement(sql, parameters), limits, cancelled)

    async def explain(self, sql: str, parameters: Mapping[str, str]) -> str:
        duck = await self._duck.get()
        return await in_thread(lambda: duck.explain(sql, parameters))

    async def check(self) -> str:
        duck = await self._duck.get()
        return await in_thread(duck.version)

    async def close(self) -> None:
        await self._duck.close()
