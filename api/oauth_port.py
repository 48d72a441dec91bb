"""What the endpoints and pages of sign-in need from identity, and what every one of them is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request came from. `base` is the address that reached us, without a slash at its end."""

    base: str
    address: str = ""
    agent: str = ""

    @classmethod
    def of(cls, request: Request, public_url: str) -> "Caller":
        base = public_url.rstrip("/") or f"{request.url.scheme}://{request.headers.get('host', '')}"
        return cls(base, request.client.host if request.client else "", request.headers.get("user-agent", "")[:255])


class Shown(Protocol):
    """What a page tells about an application that asks."""

    @property
    def client(self) -> str: ...

    @property
    def is_own(self) -> bool: ...

    @property
    def client_host(self) -> str: ...

    @property
    def redirect_host(self) -> str: ...

    @property
    def form_target(self) -> str: ...

    @property
    def scopes(self) -> tuple[str, ...]: ...

    @property
    def resource(self) -> str: ...

    @property
    def is_agreed(self) -> bool: ...


class Session(Protocol):
    """Somebody who is signed in at this browser."""

    @property
    def tenant(self) -> str: ...

    @property
    def subject(self) -> str: ...


class SignedIn(Session, Protocol):
    """Somebody who is signed in to an application."""

    @property
    def session_id(self) -> str: ...

    @property
    def client_id(self) -> str: ...


class Issued(Protocol):
    """Tokens as they are answered, and whose they are."""

    @property
    def session(self) -> SignedIn: ...

    @property
    def answer(self) -> dict[str, Any]: ...


class App(Protocol):
    """An application. Its name is its own word."""

    @property
    def client_id(self) -> str: ...

    @property
    def name(self) -> str: ...


class SignedInto(Protocol):
    """How an application is used by somebody."""

    @property
    def sign_ins(self) -> int: ...

    @property
    def last_used_at(self) -> float: ...


class Waiting(Protocol):
    """A device that waits for an answer."""

    @property
    def address(self) -> str: ...


class Browsers(Protocol):
    """Cookies, and proofs that a form came from a page of ours."""

    async def find(self, cookie: str) -> Session | None: ...

    async def close(self, session: Any) -> None: ...

    def proof(self, browser: str, cookie: str) -> str: ...

    def is_proven(self, browser: str, cookie: str, proof: str) -> bool: ...


class ProviderNames(Protocol):
    """Where else people can sign in."""

    def names(self) -> list[str]: ...


class Question(Protocol):
    """What a browser asks a device, and a text that comes back with the answer."""

    @property
    def options(self) -> Mapping[str, Any]: ...

    @property
    def sealed(self) -> str: ...


class Passkey(Protocol):
    """A passkey as its owner sees it."""

    @property
    def passkey_id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def created_at(self) -> float: ...

    @property
    def used_at(self) -> float: ...


class Passkeys(Protocol):
    """The passkeys of people."""

    def ask(self, base: str, browser: str) -> Question | None: ...

    async def ask_new(self, session: Any, base: str, browser: str, *, name: str) -> Question | None: ...

    def is_fresh(self, session: Any) -> bool: ...

    async def listing(self, session: Any) -> Sequence[Passkey]: ...

    async def add(self, session: Any, sealed: str, answer: str, base: str, browser: str, *, name: str) -> None: ...

    async def remove(self, session: Any, passkey_id: str) -> None: ...


class OAuthPort(Protocol):
    """Sign-in. Every method raises PlatformError; those of OAuth carry its code as `oauth`."""

    @property
    def browsers(self) -> Browsers: ...

    @property
    def providers(self) -> ProviderNames: ...

    @property
    def passkeys(self) -> Passkeys: ...

    async def register(self, said: Mapping[str, Any], caller: Caller) -> dict[str, Any]: ...

    async def show(self, session: Any, said: Mapping[str, str], caller: Caller) -> Shown: ...

    async def answer(
        self, session: Any, said: Mapping[str, str], caller: Caller, *, is_allowed: bool, is_new: bool
    ) -> tuple[str, dict[str, str]]: ...

    async def token(self, form: Mapping[str, str], basic: tuple[str, str] | None, caller: Caller) -> Issued: ...

    async def revoke(self, form: Mapping[str, str], basic: tuple[str, str] | None) -> SignedIn | None: ...

    async def start_device(self, form: Mapping[str, str], caller: Caller) -> dict[str, Any]: ...

    async def find_device(self, user_code: str, caller: Caller) -> tuple[Shown, Waiting]: ...

    async def answer_device(self, session: Any, user_code: str, caller: Caller, *, is_allowed: bool) -> str: ...

    async def who(self, session: Any) -> str: ...

    async def applications(self, session: Any) -> Sequence[tuple[App, SignedInto]]: ...

    async def forget(self, session: Any, client_id: str) -> None: ...

    async def sign_in(self, tenant: str, login: str, password: str, caller: Caller) -> str: ...

    async def sign_in_by_passkey(self, sealed: str, answer: str, browser: str, caller: Caller) -> str: ...

    async def accept_link(
        self, purpose: Literal["invitation", "password"], secret: str, password: str, caller: Caller
    ) -> str: ...

    async def ask_link(self, tenant: str, login: str, caller: Caller) -> None: ...

    async def leave(self, provider: str, next_path: str, caller: Caller) -> tuple[str, str]: ...

    async def come_back(self, sealed: str, said: Mapping[str, str], caller: Caller) -> tuple[str, str]: ...
