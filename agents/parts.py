"""What a running chat tells while it runs."""

import re
from typing import Literal

from pydantic import Field

from core.context import Emit
from core.portable import Model

Event = Literal["started", "token", "tool_call", "tool_result", "question", "approval", "done"]
_PICTURE = re.compile(r"!(?=\[)")
_ELEMENT = re.compile(
    r"<(?=/?(?:img|iframe|object|embed|link|script|style|svg|video|audio|source|base|meta|form)\b)", re.I
)
_HELD = re.compile(r"(?:!|<[/A-Za-z]{0,8})$")


class AgentPart(Model):
    """One event of a run. Fields that do not belong to an event are empty."""

    event: Event = Field(description="started, token, tool_call, tool_result, question, approval or done.")
    run_id: str = Field("", description="The run.")
    session_id: str = Field("", description="The conversation.")
    text: str = Field("", description="Of `token` the next piece of the answer; of others what they say.")
    tool: str = Field("", description="The tool that is called, or waits for a yes.")
    arguments_json: str = Field("", description="Its arguments, as JSON.")
    result_json: str = Field("", description="What it answered, as JSON; long results are cut.")
    approval_id: str = Field("", description="Of `approval`: what to answer it with.")


class Voice:
    """Passes an answer on as it comes. What was read may want to be fetched as a picture: it is shown as text."""

    def __init__(self, emit: Emit):
        self._emit = emit
        self._held = ""
        self.has_read = False
        self.has_spoken = False

    async def __call__(self, text: str) -> None:
        text, self._held = self._held + text, ""
        if self.has_read and (found := _HELD.search(text)):
            text, self._held = text[: found.start()], text[found.start() :]
        self.has_spoken = True
        if text:
            await self._emit(AgentPart(event="token", text=harmless(text) if self.has_read else text))

    async def end(self) -> None:
        """Pass on what was held back to see how it goes on."""
        held, self._held = self._held, ""
        if held:
            await self._emit(AgentPart(event="token", text=held))


def harmless(text: str) -> str:
    """An answer whose pictures and elements are not fetched or run by whoever shows it: that would send out data."""
    return _ELEMENT.sub("&lt;", _PICTURE.sub("", text))
