"""Passkeys: a device made of software, honest and not."""

import json
import struct
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from core.errors import Conflict, NotFound, PlatformError, Unauthenticated, Unauthorized
from engine.identity.identity import Identity
from engine.identity.oauth.webauthn import Place, encode
from engine.identity.sessions import Session
from tests.engine.identity.world import World, on_both_stores

BASE, BROWSER = "https://data.example", "b" * 43
PASSWORD = "four quiet wooden boats"
UP, UV, AT = 1, 4, 64


@dataclass
class Device:
    """Holds one key; what it says may be changed before it is signed."""

    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    key_id: bytes = b"k" * 16
    count: int = 0
    origin: str = BASE
    site: str = "data.example"
    flags: int = UP | UV
    client: dict[str, Any] = field(default_factory=dict)

    def make(self, challenge: str) -> str:
        """The answer to a question for a new passkey."""
        spki = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        data = self._data(self.flags | AT) + b"\0" * 16 + struct.pack(">H", len(self.key_id)) + self.key_id + b"\xa5"
        client = self._client("webauthn.create", challenge)
        said = {"id": encode(self.key_id), "clientDataJSON": encode(client), "authenticatorData": encode(data)}
        return json.dumps(said | {"publicKey": encode(spki)})

    def use(self, challenge: str) -> str:
        """The answer to a question for a passkey."""
        data, client = self._data(self.flags), self._client("webauthn.get", challenge)
        signed = data + sha256(client).digest()
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        elif isinstance(self.key, rsa.RSAPrivateKey):
            signature = self.key.sign(signed, PKCS1v15(), hashes.SHA256())
        else:
            signature = self.key.sign(signed)
        said = {"id": encode(self.key_id), "clientDataJSON": encode(client), "authenticatorData": encode(data)}
        return json.dumps(said | {"signature": encode(signature)})

    def _data(self, flags: int) -> bytes:
        return sha256(self.site.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count)

    def _client(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": encode(challenge.encode()), "origin": self.origin, "crossOrigin": False}
        return json.dumps(said | self.client).encode()


@dataclass
class Desk:
    """Ann, who has a password and has just signed in with it."""

    world: World
    identity: Identity
    session: Session

    async def add(self, device: Device, **changes: Any) -> None:
        asked = await self.identity.oauth.passkeys.ask_new(self.session, BASE, BROWSER, name="Ann")
        assert asked is not None
        said = {"sealed": asked.sealed, "answer": device.make(asked.options["challenge"]), "name": "Laptop"} | changes
        await self.identity.oauth.passkeys.add(self.session, base=BASE, browser=BROWSER, **said)

    async def come_in(self, device: Device, **changes: Any) -> tuple[str, str]:
        self.world.clock.advance(1)
        asked = self.identity.oauth.passkeys.ask(BASE, BROWSER)
        assert asked is not None
        said = {"sealed": asked.sealed, "answer": device.use(asked.options["challenge"]), "base": BASE}
        return await self.identity.oauth.passkeys.check(**(said | {"browser": BROWSER} | changes))


async def signed_in(identity: Identity, user_id: str) -> Session:
    await identity.directory.create_user("default", user_id=user_id, roles=["viewer"])
    link = await identity.admin.passwords.make_link(await identity.local_owner(), user_id)
    await identity.admin.passwords.accept(link.secret, "password", PASSWORD)
    session = await identity.oauth.browsers.find(
        await identity.oauth.browsers.open("default", user_id, address="", agent="")
    )
    assert session is not None
    return session


@pytest.fixture
async def desk(world: World) -> Desk:
    return Desk(world, world.identity, await signed_in(world.identity, "ann"))


@on_both_stores
async def test_a_device_that_was_added_lets_its_owner_in(desk: Desk) -> None:
    device = Device()
    await desk.add(device)
    assert await desk.come_in(device) == ("default", "ann")
    assert await desk.come_in(device) == ("default", "ann")
    (kept,) = await desk.identity.oauth.passkeys.listing(desk.session)
    assert (kept.name, kept.passkey_id) == ("Laptop", encode(device.key_id))
    await desk.identity.oauth.passkeys.remove(desk.session, kept.passkey_id)
    with pytest.raises(Unauthenticated):
        await desk.come_in(device)


async def test_every_kind_of_key_that_is_asked_for_works(desk: Desk) -> None:
    keys = [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)]
    for number, key in enumerate(keys):
        device = Device(key=key, key_id=bytes([number]) * 16)
        await desk.add(device)
        assert (await desk.come_in(device))[1] == "ann"


LIES: list[dict[str, Any]] = [
    {"origin": "https://evil.example"},
    {"origin": "http://data.example"},
    {"origin": "https://data.example:444"},
    {"origin": "https://data.example.evil.example"},
    {"site": "evil.example"},
    {"flags": UP},
    {"flags": UV},
    {"flags": 0},
    {"client": {"crossOrigin": True}},
    {"client": {"topOrigin": "https://evil.example"}},
    {"client": {"type": "webauthn.other"}},
    {"client": {"challenge": ""}},
    {"client": {"challenge": None}},
]


async def test_a_device_that_answers_something_else_is_not_let_in(desk: Desk) -> None:
    device = Device()
    await desk.add(device)
    for lie in LIES:
        liar = Device(device.key, device.key_id, **lie)
        with pytest.raises(Unauthenticated, match="The passkey did not work"):
            await desk.come_in(liar)
        with pytest.raises(Unauthorized):
            await desk.add(Device(key_id=b"x" * 16, **lie))
    with pytest.raises(Unauthenticated):
        await desk.come_in(Device(key_id=device.key_id))  # another key
    with pytest.raises(Unauthenticated):
        await desk.come_in(Device(device.key, b"other" * 4))
    assert (await desk.come_in(device))[1] == "ann"


async def test_an_answer_works_once_here_and_for_a_while(desk: Desk) -> None:
    device, keys = Device(), desk.identity.oauth.passkeys
    await desk.add(device)
    desk.world.clock.advance(1)
    asked = keys.ask(BASE, BROWSER)
    assert asked is not None
    answer = device.use(asked.options["challenge"])
    for sealed, base, browser in [
        (asked.sealed, BASE, "c" * 43),
        (asked.sealed, "https://other.example", BROWSER),
        (asked.sealed[:-1] + "x", BASE, BROWSER),
        ("", BASE, BROWSER),
    ]:
        with pytest.raises(Unauthenticated):
            await keys.check(sealed, answer, base, browser)
    assert await keys.check(asked.sealed, answer, BASE, BROWSER) == ("default", "ann")
    with pytest.raises(Unauthenticated):
        await keys.check(asked.sealed, answer, BASE, BROWSER)
    late = keys.ask(BASE, BROWSER)
    assert late is not None
    desk.world.clock.advance(301)
    with pytest.raises(Unauthenticated):
        await keys.check(late.sealed, device.use(late.options["challenge"]), BASE, BROWSER)


async def test_a_copied_device_that_counts_behind_is_not_let_in(desk: Desk) -> None:
    device = Device(count=5)
    await desk.add(device)
    device.count = 9
    await desk.come_in(device)
    for count in (9, 8, 0):
        with pytest.raises(Unauthenticated):
            await desk.come_in(Device(device.key, device.key_id, count=count))


async def test_nonsense_is_no_answer(desk: Desk) -> None:
    for answer in ("", "[]", "null", "{}", "x" * 30_000, '{"id": 7}', '{"clientDataJSON": "\u00e4"}'):
        with pytest.raises(Unauthenticated):
            await desk.come_in(Device(), answer=answer)
        with pytest.raises(Unauthorized):
            await desk.add(Device(), answer=answer)


async def test_a_passkey_goes_with_its_owners_access_and_with_a_forgotten_password(desk: Desk) -> None:
    owner, people = await desk.identity.local_owner(), desk.identity.admin.people
    device = Device()
    await desk.add(device)
    await people.set_active(owner, "ann", is_active=False)
    with pytest.raises(Unauthenticated):
        await desk.come_in(device)
    await people.set_active(owner, "ann", is_active=True)
    with pytest.raises(Unauthenticated):
        await desk.come_in(device)
    await desk.add(device)
    link = await desk.identity.admin.passwords.make_link(owner, "ann")
    await desk.identity.admin.passwords.accept(link.secret, "password", PASSWORD + "!")
    with pytest.raises(Unauthenticated):
        await desk.come_in(device)


async def test_only_who_has_just_signed_in_changes_passkeys_and_only_their_own(desk: Desk) -> None:
    device, bob = Device(), await signed_in(desk.identity, "bob")
    await desk.add(device)
    keys = desk.identity.oauth.passkeys
    assert await keys.listing(bob) == []
    with pytest.raises(NotFound):
        await keys.remove(bob, encode(device.key_id))
    with pytest.raises(Conflict):  # one device's key is one person's
        await Desk(desk.world, desk.identity, bob).add(device)
    asked = await keys.ask_new(desk.session, BASE, BROWSER, name="Ann")
    assert asked is not None
    with pytest.raises(Unauthorized):  # a question that somebody else was asked
        await keys.add(
            bob, asked.sealed, Device(key_id=b"n" * 16).make(asked.options["challenge"]), BASE, BROWSER, name=""
        )
    desk.world.clock.advance(901)
    for attempt in (desk.add(Device(key_id=b"z" * 16)), keys.remove(desk.session, encode(device.key_id))):
        with pytest.raises(Unauthorized):
            await attempt


async def test_who_signs_in_elsewhere_has_none(desk: Desk) -> None:
    await desk.identity.directory.create_user("default", user_id="cyd", roles=["viewer"])
    cookie = await desk.identity.oauth.browsers.open("default", "cyd", address="", agent="")
    session = await desk.identity.oauth.browsers.find(cookie)
    assert session is not None
    with pytest.raises(PlatformError):
        await Desk(desk.world, desk.identity, session).add(Device())


@pytest.mark.parametrize(
    ("base", "site"),
    [
        ("https://data.example", "data.example"),
        ("https://data.example:8443", "data.example"),
        ("http://localhost:8002", "localhost"),
        ("http://data.example", ""),
        ("http://127.0.0.1:8002", ""),
        ("https://10.0.0.1", ""),
        ("https://[::1]", ""),
    ],
)
def test_passkeys_are_for_named_hosts_over_tls_and_for_this_machine(base: str, site: str) -> None:
    place = Place.of(base)
    assert (place.site if place else "") == site
