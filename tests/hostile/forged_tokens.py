"""Forged and stale tokens, in one list that every face is tried with; and good ones, which must pass.

await prepare(identity, store, vault)
for name, token in forged_tokens(Forge(store, vault)).items(): ...
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from sqlalchemy import insert, select

from engine.identity.identity import Identity
from engine.identity.signing import PURPOSE, public_jwk
from engine.identity.vault import Vault
from engine.store.db import Store
from engine.store.tables import keys

Sign = Callable[[bytes], bytes]
RETIRED_KID = "retired-key"
EXTERNAL_ISSUER = "https://login.example"


@dataclass
class ExternalKey:
    """The key of an external issuer, which a test may serve as a JWKS."""

    issuer: str = EXTERNAL_ISSUER
    kid: str = "ext-1"
    private: rsa.RSAPrivateKey = field(default_factory=lambda: new_key())

    def jwks(self) -> bytes:
        return json.dumps({"keys": [public_jwk(self.private.public_key(), self.kid)]}).encode()

    def token(self, **changes: Any) -> str:
        claims = {"iss": self.issuer, "aud": "headwater", "sub": "alice", **_times(), **changes}
        return compact({"alg": "RS256", "typ": "JWT", "kid": self.kid}, _present(claims), rs256(self.private))


@dataclass
class Forge:
    """What a forger may know, and what only we know: it reads our keys from the store to be as good as can be."""

    store: Store
    vault: Vault
    issuer: str = "headwater"
    audience: str = "headwater"
    external: ExternalKey = field(default_factory=ExternalKey)
    _read: dict[str | None, tuple[str, rsa.RSAPrivateKey]] = field(default_factory=dict)

    def key(self, kid: str | None = None) -> tuple[str, rsa.RSAPrivateKey]:
        """Our signing key, or the one of that id."""
        if kid not in self._read:
            self._read[kid] = self._read_key(kid)
        return self._read[kid]

    def _read_key(self, kid: str | None) -> tuple[str, rsa.RSAPrivateKey]:
        statement = select(keys.c.kid, keys.c.wrapped_private).where(
            keys.c.kid == kid if kid else keys.c.removed_at.is_(None)
        )
        row = self.store.read_now(lambda connection: connection.execute(statement).one())
        der = self.vault.open_platform(PURPOSE, row.wrapped_private, row.kid.encode())
        private = serialization.load_der_private_key(der, password=None)
        assert isinstance(private, rsa.RSAPrivateKey)
        return row.kid, private

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims as they are in a good token; None takes one out."""
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": "admin",
            "tenant": "default",
            "kind": "user",
            "jti": "j1",
            **_times(),
            **changes,
        }
        return _present(claims)

    def token(self, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token signed with our real key, with some headers and claims changed."""
        kid, private = self.key()
        return compact(
            _present({"alg": "RS256", "typ": "JWT", "kid": kid} | (header or {})),
            self.claims(**changes),
            rs256(private),
        )


async def prepare(identity: Identity, store: Store, vault: Vault) -> None:
    """Make those who are gone: their tokens are good but for that."""
    people = identity.directory
    await people.create_tenant("Other", tenant_id="other", tier="enterprise")
    await people.create_user("other", user_id="other_user", roles=["admin"])
    await people.create_tenant("Archived", tenant_id="archived")
    await people.create_user("archived", user_id="late", roles=["admin"])
    await people.archive_tenant("archived")
    await people.create_user("default", user_id="gone_user", roles=["admin"])
    await people.deactivate_user("default", "gone_user")
    await people.create_client("default", client_id="gone_client", roles=["admin"])
    await people.disable_client("default", "gone_client")
    private = new_key()
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    now = time.time()
    row = {
        "kid": RETIRED_KID,
        "algorithm": "RS256",
        "public_jwk": json.dumps(public_jwk(private.public_key(), RETIRED_KID)),
        "wrapped_private": vault.seal_platform(PURPOSE, der, RETIRED_KID.encode()),
        "created_at": now - 90 * 86400,
        "retired_at": now - 60 * 86400,
        "removed_at": now - 1,
    }
    await store.write(lambda connection: connection.execute(insert(keys).values(row)))


def good_tokens(forge: Forge) -> dict[str, str]:
    """Tokens that must pass: being strict must not mean refusing what is right."""
    now = int(time.time())
    return {
        "plain": forge.token(),
        "aud is a list with ours": forge.token(aud=["somebody-else", forge.audience]),
        "no typ": forge.token(header={"typ": None}),
        "fractions of a second": forge.token(iat=now - 0.5, nbf=now - 0.5, exp=now + 60.25),
        "a clock 5 s ahead": forge.token(iat=now + 5, nbf=now + 5),
        "unknown claims beside": forge.token(scope="all", roles=["viewer"], azp="x"),
    }


def forged_tokens(forge: Forge) -> dict[str, str]:
    """Every token that no face may accept, by what is wrong with it."""
    return {
        **_wrong_form(forge),
        **_wrong_algorithm(forge),
        **_wrong_key(forge),
        **_wrong_header(forge),
        **_wrong_claims(forge),
        **_wrong_times(forge),
        **_wrong_people(forge),
        **_wrong_external(forge),
        **_wrong_personal(),
    }


def _wrong_form(forge: Forge) -> dict[str, str]:
    token = forge.token()
    head, body, signature = token.split(".")
    kid, private = forge.key()
    doubled = json.dumps(forge.claims(sub="viewer"))[:-1].encode() + b', "sub": "admin"}'
    header = {"alg": "RS256", "typ": "JWT", "kid": kid}
    doubled_header = json.dumps(header)[:-1].encode() + b', "alg": "none"}'
    json_form = {"payload": body, "protected": head, "signature": signature}
    return {
        "empty": "",
        "only dots": "..",
        "not a token": "admin",
        "one part": head,
        "two parts": f"{head}.{body}",
        "signature stripped": f"{head}.{body}.",
        "header stripped": f".{body}.{signature}",
        "payload stripped": f"{head}..{signature}",
        "four parts": f"{token}.{signature}",
        "five parts, as if encrypted": f"{head}.{body}.{signature}.{body}.{signature}",
        "parts swapped": f"{body}.{head}.{signature}",
        "payload of another token": f"{head}.{forge.token(sub='other_user').split('.')[1]}.{signature}",
        "signature cut": token[:-4],
        "signature with a tail": token + "AAAA",
        "signature with other unused bits": token[:-1] + _sibling(token[-1]),
        "leading space": f" {token}",
        "trailing space": f"{token} ",
        "trailing newline": f"{token}\n",
        "newline inside": f"{head}.\n{body}.{signature}",
        "tab inside": f"{head}\t.{body}.{signature}",
        "padding": f"{head}=.{body}=.{signature}==",
        "standard base64": f"{head}.{body}.{signature[:-1]}+",
        "non-ASCII": f"{head}.{body}.{signature[:-1]}\u00e9",
        "full-width dot": f"{head}\uff0e{body}\uff0e{signature}",
        "the scheme twice": f"Bearer {token}",
        "oversized": forge.token(note="x" * 9000),
        "endless": "a" * 200_000,
        "JSON serialisation, flattened": json.dumps(json_form),
        "JSON serialisation, general": json.dumps(
            {"payload": body, "signatures": [{"protected": head, "signature": signature}]}
        ),
        "duplicate claims": compact(header, doubled, rs256(private)),
        "duplicate headers": compact(doubled_header, forge.claims(), rs256(private)),
        "payload is a list": compact(header, b'["admin"]', rs256(private)),
        "payload is no JSON": compact(header, b"admin", rs256(private)),
        "payload nests too deep": compact(header, b"[" * 4000, rs256(private)),
        "payload has NaN": compact(header, json.dumps(forge.claims(exp=float("nan"))).encode(), rs256(private)),
    }


def _wrong_algorithm(forge: Forge) -> dict[str, str]:
    kid, private = forge.key()
    public = private.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    modulus = public_jwk(public, kid)["n"].encode()
    tokens = {
        f"alg {name}": compact(_present({"alg": name, "typ": "JWT", "kid": kid}), forge.claims(), lambda data: b"")
        for name in ("none", "nOnE", "NONE", "None", "")
    }
    tokens |= {
        f"alg {name!r} with our signature": forge.token(header={"alg": name})
        for name in ("none", "rs256", "RS512", "PS256", "ES256", "HS256", ["RS256"], {"a": 1}, 256, True)
    }
    for name, secret in {"PEM": pem, "DER": der, "modulus": modulus, "kid": kid.encode(), "nothing": b""}.items():
        header = {"alg": "HS256", "typ": "JWT", "kid": kid}
        tokens[f"HS256 with our public key ({name}) as the secret"] = compact(header, forge.claims(), hs256(secret))
        tokens[f"HS256 with our public key ({name}), no kid"] = compact(
            {"alg": "HS256", "typ": "JWT"}, forge.claims(), hs256(secret)
        )
    tokens["no alg"] = forge.token(header={"alg": None})
    return tokens


def _wrong_key(forge: Forge) -> dict[str, str]:
    kid, _ = forge.key()
    stranger = new_key()
    header = {"alg": "RS256", "typ": "JWT", "kid": kid}
    _, retired = forge.key(RETIRED_KID)
    return {
        "signed with another key": compact(header, forge.claims(), rs256(stranger)),
        "signed with another key under its own kid": compact(header | {"kid": "mine"}, forge.claims(), rs256(stranger)),
        "a key that is retired for good": compact(header | {"kid": RETIRED_KID}, forge.claims(), rs256(retired)),
        "a random signature": compact(header, forge.claims(), lambda data: hashlib.sha512(data).digest() * 4),
        "a signature of zeros": compact(header, forge.claims(), lambda data: bytes(256)),
        "signed by the external issuer as us": compact(
            {"alg": "RS256", "typ": "JWT", "kid": forge.external.kid}, forge.claims(), rs256(forge.external.private)
        ),
    }


def _wrong_header(forge: Forge) -> dict[str, str]:
    kid, _ = forge.key()
    stranger = new_key()
    jwk = public_jwk(stranger.public_key(), kid)
    planted = {
        "jwk": jwk,
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/cert.pem",
        "x5c": ["MIIB"],
    }
    tokens = {
        f"header {name}, signed with the key it names": compact(
            {"alg": "RS256", "typ": "JWT", "kid": kid, name: value}, forge.claims(), rs256(stranger)
        )
        for name, value in planted.items()
    }
    tokens |= {f"header {name}": forge.token(header={name: value}) for name, value in planted.items()}
    for value in ([], ["exp"], ["b64"], "exp"):
        tokens[f"crit {value!r}"] = forge.token(header={"crit": value})
    tokens |= {
        "b64 false": forge.token(header={"b64": False}),
        "b64 false and crit": forge.token(header={"b64": False, "crit": ["b64"]}),
        "zip": forge.token(header={"zip": "DEF"}),
        "cty": forge.token(header={"cty": "JWT"}),
        "enc": forge.token(header={"enc": "A256GCM"}),
        "typ JWE": forge.token(header={"typ": "JWE"}),
        "typ is a number": forge.token(header={"typ": 1}),
    }
    kids: list[Any] = ["", "unknown", "../../../../dev/null", "/dev/null", f"{kid} ", kid.upper() + "X", "\0", 1, ["a"]]
    kids += ["' OR '1'='1", f"{kid}' --", "x' UNION SELECT 'AA", {"a": 1}, True, "k" * 300, "\u212a", "%00", "|whoami"]
    tokens |= {f"kid {value!r:.40}": forge.token(header={"kid": value}) for value in kids}
    tokens["no kid"] = forge.token(header={"kid": None})
    return tokens


def _wrong_claims(forge: Forge) -> dict[str, str]:
    ours = forge.audience
    audiences: list[Any] = [
        None,
        "",
        "other",
        f"{ours}x",
        ours[:-1],
        ours.upper(),
        f"{ours} other",
        f" {ours}",
        [],
        ["x"],
    ]
    audiences += [[f"{ours}2"], [[ours]], {"aud": ours}, [ours, 1], True, f"https://{ours}"]
    tokens = {f"aud {value!r}": forge.token(aud=value) for value in audiences}
    issuers: list[Any] = [
        None,
        "",
        "other",
        f"{forge.issuer}/",
        forge.issuer.upper(),
        [forge.issuer],
        f"{forge.issuer} ",
    ]
    tokens |= {f"iss {value!r}": forge.token(iss=value) for value in issuers}
    for name in ("sub", "tenant", "kind", "jti"):
        values: list[Any] = [None, "", 1, ["admin"], {"a": "b"}, True, "x" * 1000, "ad\0min"]
        tokens |= {f"{name} {value!r:.30}": forge.token(None, **{name: value}) for value in values}
    return tokens


def _wrong_times(forge: Forge) -> dict[str, str]:
    now = int(time.time())
    odd: list[Any] = [None, "", str(now), True, [now], {"n": now}, -1, 1e300, 10**30]
    tokens = {f"{name} {value!r}": forge.token(**{name: value}) for name in ("exp", "nbf", "iat") for value in odd}
    tokens |= {
        "expired": forge.token(iat=now - 7200, nbf=now - 7200, exp=now - 60),
        "exp as a text": forge.token(exp=str(now + 600)),
        "exp in milliseconds": forge.token(exp=(now + 600) * 1000),
        "exp in a year": forge.token(exp=now + 365 * 86400),
        "exp before iat": forge.token(iat=now, exp=now - 5),
        "nbf in the future": forge.token(nbf=now + 120),
        "nbf after exp": forge.token(nbf=now + 9, exp=now + 5, iat=now),
        "iat in the future": forge.token(iat=now + 120, exp=now + 600),
        "iat long ago": forge.token(iat=now - 10 * 86400, nbf=now - 10 * 86400, exp=now + 600),
        "older than its owner": forge.token(iat=now - 80_000, nbf=now - 80_000, exp=now + 600),
    }
    return tokens


def _wrong_people(forge: Forge) -> dict[str, str]:
    return {
        "unknown tenant": forge.token(tenant="nowhere"),
        "unknown subject": forge.token(sub="nobody"),
        "the subject of another tenant": forge.token(sub="other_user"),
        "our subject in another tenant": forge.token(tenant="other"),
        "an archived tenant": forge.token(tenant="archived", sub="late"),
        "a deactivated user": forge.token(sub="gone_user"),
        "a disabled client": forge.token(sub="gone_client", kind="client"),
        "a user as a client": forge.token(kind="client"),
        "an unknown kind": forge.token(kind="root"),
        "SQL as the tenant": forge.token(tenant="default' OR '1'='1"),
        "SQL as the subject": forge.token(sub="admin' --"),
        "a pattern as the subject": forge.token(sub="adm%"),
        "the subject in other letters": forge.token(sub="ADMIN"),
        "the subject with a space": forge.token(sub="admin "),
    }


def _wrong_external(forge: Forge) -> dict[str, str]:
    outside, now = forge.external, int(time.time())
    return {
        "external: claims another tenant": outside.token(tenant="other"),
        "external: claims super_admin as roles": outside.token(roles=["viewer", "super_admin"]),
        "external: claims super_admin as role": outside.token(role="super_admin"),
        "external: claims super_admin as groups": outside.token(groups=["super_admin"]),
        "external: no nbf": outside.token(nbf=None),
        "external: for somebody else": outside.token(aud="somebody-else"),
        "external: expired": outside.token(iat=now - 900, nbf=now - 900, exp=now - 300),
        "external: no subject": outside.token(sub=None),
        "external: another issuer's name": outside.token(iss="https://other.example"),
        "external: our key under its name": forge.token(iss=outside.issuer),
        "external: a key that it does not have": ExternalKey(outside.issuer, outside.kid).token(),
    }


def _wrong_personal() -> dict[str, str]:
    return {
        "personal: unknown": "hwt_" + "A" * 43,
        "personal: too short": "hwt_AAAA",
        "personal: too long": "hwt_" + "A" * 44,
        "personal: a pattern": "hwt_" + "%" * 43,
        "personal: SQL": "hwt_' OR '1'='1' --",
        "a client's secret": "hws_" + "A" * 43,
    }


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def compact(header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, sign: Sign) -> str:
    """Any header and payload, signed in any way: what a library would refuse to make."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signed = b".".join(_b64(part) for part in parts)
    return (signed + b"." + _b64(sign(signed))).decode()


def rs256(private: rsa.RSAPrivateKey) -> Sign:
    return lambda data: private.sign(data, padding.PKCS1v15(), hashes.SHA256())


def hs256(secret: bytes) -> Sign:
    return lambda data: hmac.digest(secret, data, "sha256")


def _times() -> dict[str, Any]:
    now = int(time.time())
    return {"iat": now, "nbf": now, "exp": now + 600}


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _sibling(last: str) -> str:
    """The character that decodes to the same bits of a 256-byte signature, which leaves 4 bits unused."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(last) ^ 1]
