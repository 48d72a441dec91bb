"""Server-sent events and JSON-RPC answers, read out of bytes that somebody else made."""

from typing import Any

from pydantic_core import from_json

from core.errors import Unavailable
from engine.egress.client import Incoming

EVENTS = "text/event-stream"
MAX_EVENT_BYTES = 8 * 2**20


class Events:
    """Takes chunks of a stream of events, and gives the data of each that is whole."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that end in this chunk. Raises Unavailable for one without end."""
        text = (self._rest + chunk).replace(b"\r\n", b"\n")
        *whole, self._rest = text.split(b"\n\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise Unavailable("The agent sends an event without end.")
        return [data for event in whole if (data := _data(event))]


def _data(event: bytes) -> bytes:
    lines = (line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(lines)


async def read_answer(incoming: Incoming, request_id: str | int) -> dict[str, Any]:
    """The answer to one JSON-RPC request, sent whole or as an event. Raises Unavailable when there is none."""
    if incoming.media_type != EVENTS:
        return _answer_of(await incoming.read(), request_id)
    events = Events()
    async for chunk in incoming.chunks:
        for data in events.feed(chunk):
            message = parse_object(data)
            if "method" not in message:
                return _checked(message, request_id)
    raise Unavailable("The agent's answer breaks off.")


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object of an agent. Raises Unavailable when it is none."""
    try:
        message = from_json(data, allow_inf_nan=False)
    except ValueError:
        raise Unavailable("The agent does not answer with JSON.") from None
    if not isinstance(message, dict):
        raise Unavailable("The agent does not answer with a JSON object.")
    return message


def _answer_of(data: bytes, request_id: str | int) -> dict[str, Any]:
    return _checked(parse_object(data), request_id)


def _checked(message: dict[str, Any], request_id: str | int) -> dict[str, Any]:
    found = message.get("id")
    if message.get("jsonrpc") != "2.0" or ("result" in message) == ("error" in message):
        raise Unavailable("The agent does not answer in JSON-RPC 2.0.")
    is_ours = found == request_id and type(found) is type(request_id)
    if not is_ours and not (found is None and "error" in message):
        raise Unavailable("The agent has answered another request.")
    return message
