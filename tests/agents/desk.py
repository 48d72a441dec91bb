"""A whole platform whose installation has one model: the twin on a real socket. Calls tools as its people."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.context import Cancellation, Context, Principal
from core.dispatch import Call, _Nested
from engine.context import Ctx
from headwater.build import Platform, build
from tests.faces.world import settings_of
from tests.fakes.model_server import ModelServer

MODELS = """
models:
  - {{name: twin, model: openai/twin, api_base: "{url}", api_key: sk-twin-key, timeout_s: 30, {more}}}
  - {{name: spare, model: openai/spare, api_base: "{spare}", timeout_s: 30}}
default: {default}
"""


async def until(condition: Callable[[], Any], *, within_s: float = 10.0) -> None:
    """Wait for something; an AssertionError where it does not come."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


@dataclass
class AgentDesk:
    """Calls tools, and stands where a tool stands."""

    platform: Platform
    server: ModelServer
    spare: ModelServer

    async def who(self, name: str = "admin", tenant: str = "default") -> Principal:
        return await self.platform.engine.identity.principal_of(tenant, name, "user")

    async def call(self, tool: str, /, by: str = "admin", tenant: str = "default", **arguments: Any) -> Any:
        principal = await self.who(by, tenant)
        return await self.platform.dispatcher.call(Call(tool, arguments, "test", "r1", principal=principal))

    async def context(self, by: str = "admin", **changes: Any) -> Ctx:
        principal = await self.who(by)
        call = Call("run_workflow", {}, "test", "r1", principal=principal)
        made = Context(
            principal=principal,
            request_id="r1",
            face="test",
            engine=self.platform.engine,
            call=_Nested(self.platform.dispatcher, call, principal),
            cancelled=Cancellation(),
        )
        return replace(made, **changes)


@contextmanager
def changed(desk: AgentDesk, name: str, **changes: Any) -> Iterator[None]:
    """A model of the file as if it stood there otherwise."""
    models: Any = desk.platform.engine.models.file.models
    before = models[name]
    models[name] = replace(before, **changes)
    try:
        yield
    finally:
        models[name] = before


@asynccontextmanager
async def opened_desk(
    folder: Path,
    *,
    default: str = "twin",
    more: str = "strength: small",
    load: Callable[[Platform], None] | None = None,
    **changes: Any,
) -> AsyncIterator[AgentDesk]:
    """A platform below `folder`, with servers that say what a test lets them `play`."""
    home = folder / "home"
    home.mkdir(parents=True)
    with ModelServer() as server, ModelServer() as spare:
        text = MODELS.format(url=server.url, spare=spare.url, default=default or "none", more=more)
        (home / "models.yml").write_text(text)
        platform = await build(settings_of(home, **changes))
        try:
            await platform.engine.identity.directory.create_tenant("Other", tenant_id="other", tier="enterprise")
            await platform.engine.identity.directory.create_user("other", user_id="olga", roles=["admin"])
            await platform.engine.identity.directory.create_user("default", user_id="vic", roles=["viewer"])
            if load is not None:
                load(platform)
            yield AgentDesk(platform, server, spare)
        finally:
            await platform.close()
