"""Whether a caller can see an object named in a request, by its kind."""

from collections.abc import Awaitable, Callable, Mapping

from core.context import Principal
from core.errors import NotFound

Look = Callable[[Principal, str], Awaitable[object]]
"""Fetches an object as the caller, or raises NotFound."""


class ObjectVisibility:
    """Implements the gate's `Visibility` over the engine's own look-ups. An unknown kind is never visible."""

    def __init__(self, looks: Mapping[str, Look]):
        self._looks = looks

    async def check(self, principal: Principal, kind: str, object_id: str) -> None:
        look = self._looks.get(kind)
        if look is None:
            raise NotFound(f"No {kind} {object_id[:64]!r}.")
        await look(principal, object_id)
