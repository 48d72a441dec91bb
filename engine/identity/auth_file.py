"""`auth_clients.yml`: clients and the shared signing secret that an operator writes down.

clients:
  reporting: its-secret                # tenant default, role editor
  nightly: {secret_hash: $argon2id$..., tenant: acme, roles: [data_engineer]}
jwt:
  secret_key: at least 32 bytes, kept to this file
  algorithm: HS256
  expiration_hours: 2
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidArgument
from engine.identity.roles import canonical
from engine.identity.secrets import fast_hash, is_secret_hash

log = logging.getLogger("headwater.identity")

DOCUMENTED_EXAMPLE = "your-jwt-secret-key-change-in-production"
DEFAULT_TENANT = "default"
DEFAULT_ROLES = frozenset({"editor"})
MIN_SECRET_BYTES = 32
MAX_FILE_BYTES = 1_000_000
CLIENT_ID = re.compile(r"(?!ext-)[A-Za-z0-9_.@-]{1,64}")


@dataclass(frozen=True, slots=True)
class FileClient:
    """A client of the file."""

    client_id: str
    secret_hash: str
    tenant: str = DEFAULT_TENANT
    roles: frozenset[str] = DEFAULT_ROLES


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """Signs the tokens of the file's clients, and nobody else's."""

    key: bytes = field(repr=False)
    algorithm: str = "HS256"


@dataclass(frozen=True, slots=True)
class AuthFile:
    """What the file says; empty where there is none."""

    clients: Mapping[str, FileClient] = field(default_factory=dict)
    shared: SharedSecret | None = None
    lifetime_s: int | None = None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Client(_Strict):
    secret: str = Field("", max_length=256)
    secret_hash: str = ""
    tenant: str = DEFAULT_TENANT
    roles: list[str] = sorted(DEFAULT_ROLES)


class _Jwt(_Strict):
    secret_key: str = ""
    algorithm: Literal["HS256", "RS256"] | None = None
    expiration_hours: float | None = Field(None, gt=0, le=24)


class _File(_Strict):
    clients: dict[str, str | _Client] = {}
    jwt: _Jwt = _Jwt()


def read_auth_file(path: Path) -> AuthFile:
    """Read the file, if it is there. Raises InvalidArgument, naming what is wrong but no secret."""
    document = read_yaml(path)
    if document is None:
        return AuthFile()
    try:
        parsed = _File.model_validate(document)
    except ValidationError as error:
        raise InvalidArgument(f"{path}: {describe(error)}", hint="Quote numbers: secrets and ids are texts.") from None
    found = {client_id: _client(path, client_id, said) for client_id, said in parsed.clients.items()}
    hours = parsed.jwt.expiration_hours
    return AuthFile(found, _shared(path, parsed.jwt), None if hours is None else max(60, int(hours * 3600)))


def read_yaml(path: Path) -> object:
    """A small YAML file, or None where there is none. Raises InvalidArgument."""
    if not path.exists():
        return None
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InvalidArgument(f"{path} is larger than {MAX_FILE_BYTES} bytes.")
    try:
        return yaml.safe_load(path.read_text("utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InvalidArgument(f"{path} is not YAML.", hint="Check its indentation and quotes.") from None


def describe(error: ValidationError) -> str:
    """What is wrong where, without any value."""
    items = error.errors(include_input=False, include_url=False, include_context=False)[:5]
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in items)


def _client(path: Path, client_id: str, said: "str | _Client") -> FileClient:
    if not CLIENT_ID.fullmatch(client_id):
        raise InvalidArgument(f"{path}: {client_id[:64]!r} is no client id.", hint="Use A-Z, a-z, 0-9, _ . @ and -.")
    client = _Client(secret=said) if isinstance(said, str) else said
    if bool(client.secret) == bool(client.secret_hash):
        raise InvalidArgument(f"{path}: the client {client_id!r} needs one of secret and secret_hash.")
    if client.secret_hash and not is_secret_hash(client.secret_hash):
        raise InvalidArgument(
            f"{path}: the secret_hash of {client_id!r} is of no known kind.",
            hint="Give an argon2id hash ($argon2id$...) or, for a random secret, sha256:HEX.",
        )
    secret_hash = client.secret_hash or fast_hash(client.secret)
    return FileClient(client_id, secret_hash, client.tenant, frozenset(map(canonical, client.roles)))


def _shared(path: Path, jwt: _Jwt) -> SharedSecret | None:
    if not jwt.secret_key:
        if jwt.algorithm == "HS256":
            raise InvalidArgument(f"{path}: jwt.algorithm HS256 needs jwt.secret_key.")
        return None
    if jwt.algorithm == "RS256":
        raise InvalidArgument(
            f"{path}: jwt.secret_key goes with HS256; leave it out to sign with Headwater's own keys."
        )
    if jwt.secret_key == DOCUMENTED_EXAMPLE:
        raise InvalidArgument(
            f"{path}: jwt.secret_key is the example from the documentation, which everybody knows.",
            hint="Set a random one of 32 bytes or more, or leave `jwt.secret_key` out to use Headwater's own keys.",
        )
    if len(jwt.secret_key.encode()) < MIN_SECRET_BYTES:
        raise InvalidArgument(
            f"{path}: jwt.secret_key is shorter than {MIN_SECRET_BYTES} bytes.",
            hint="Set a random one, for example the output of `openssl rand -hex 32`.",
        )
    return SharedSecret(jwt.secret_key.encode())
