"""Cards signed by us: a JWS over the card's canonical form, as A2A has it, with a key of our published set."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

JWKS = "/oauth/jwks.json"
TTL_S = 3600.0  # keys stay published for a day after they have signed for the last time
MAX_KEPT = 1_000
MAX_DEPTH = 100
Sign = Callable[[bytes, str], Awaitable[tuple[str, str]]]
"""Signs bytes: the protected header, which names where the key is published, and the signature, both in base64url."""


class Unsignable(ValueError):
    """The card has no canonical form."""


class CardSigner:
    """Adds our signature to cards; each is signed once an hour at most."""

    def __init__(self, sign: Sign, *, clock: Callable[[], float] = time.monotonic):
        self._sign = sign
        self._clock = clock
        self._kept: dict[bytes, tuple[float, list[dict[str, str]]]] = {}

    async def signed(self, card: Mapping[str, Any], base_url: str) -> dict[str, Any]:
        """The card with our signature alone; as it is, where it has no canonical form."""
        key = hashlib.sha256(json.dumps([base_url, card], sort_keys=True).encode()).digest()
        kept = self._kept.get(key)
        if kept is None or self._clock() >= kept[0]:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            kept = self._kept[key] = (self._clock() + TTL_S, await self._signatures(card, base_url))
        plain = {name: value for name, value in card.items() if name != "signatures"}
        return {**plain, "signatures": kept[1]} if kept[1] else plain

    async def _signatures(self, card: Mapping[str, Any], base_url: str) -> list[dict[str, str]]:
        try:
            payload = await asyncio.to_thread(canonical_card, card)
        except Unsignable:
            return []
        protected, signature = await self._sign(payload, base_url + JWKS)
        return [{"protected": protected, "signature": signature}]


def canonical_card(card: Mapping[str, Any]) -> bytes:
    """What is signed of a card: the fields of the 1.0 schema that hold something, in RFC 8785's form.

    Whatever else a stranger's card holds is none of them, so that nothing signed can ever read as a token."""
    from a2a.client.card_resolver import parse_agent_card  # lazily: the SDK is needed for cards alone
    from google.protobuf.json_format import MessageToDict, ParseError

    try:
        read = MessageToDict(parse_agent_card(json.loads(json.dumps(card))))
    except (ParseError, RecursionError) as error:
        raise Unsignable from error
    read.pop("signatures", None)
    return canonical(_filled(read, MAX_DEPTH) or {}).encode("utf-8")


def _filled(value: Any, depth: int) -> Any:
    """A value without whatever in it is empty; None where nothing is left."""
    if depth == 0:
        raise Unsignable
    if isinstance(value, dict):
        kept = {name: found for name, item in value.items() if (found := _filled(item, depth - 1)) is not None}
        return kept or None
    if isinstance(value, list):
        return [found for item in value if (found := _filled(item, depth - 1)) is not None] or None
    return None if value == "" else value


def canonical(value: Any) -> str:
    """JSON in RFC 8785's form. Raises Unsignable where there is none."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        raise Unsignable
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Unsignable
    return text


def _number(value: float) -> str:
    """A number as ECMAScript writes it."""
    if value != value or value in (float("inf"), float("-inf")):
        raise Unsignable
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    whole, _, rest = mantissa.partition(".")
    rest = "" if rest == "0" else rest
    digits = (whole + rest).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + rest) - len((whole + rest).lstrip("0")))
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        whole_part = digits[:point].ljust(point, "0")
        return sign + whole_part + (f".{digits[point:]}" if len(digits) > point else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    shown = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{sign}{shown}e{'+' if point > 0 else '-'}{abs(point - 1)}"
