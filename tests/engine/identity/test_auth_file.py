"""auth_clients.yml is read strictly."""

from pathlib import Path

import pytest

from core.errors import InvalidArgument
from engine.identity.auth_file import AuthFile, read_auth_file


def test_no_file_and_an_empty_one_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "auth_clients.yml"
    assert read_auth_file(path) == AuthFile()
    path.write_text("")
    assert read_auth_file(path) == AuthFile()


def test_a_shared_secret_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "auth_clients.yml"
    path.write_text("jwt: {secret_key: 0123456789abcdef0123456789abcdef}")
    said = read_auth_file(path)
    assert said.shared is not None and "0123456789abcdef" not in repr(said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jwt: {secret_key: your-jwt-secret-key-change-in-production}", "example from the documentation"),
        ("jwt: {secret_key: short}", "shorter than 32 bytes"),
        ("jwt: {algorithm: HS256}", "needs jwt.secret_key"),
        ("jwt: {secret_key: 0123456789abcdef0123456789abcdef, algorithm: none}", "algorithm"),
        ("jwt: {secret_key: 0123456789abcdef0123456789abcdef, algorithm: RS256}", "goes with HS256"),
        ("jwt: {expiration_hours: 48}", "expiration_hours"),
        ("clients: {a: 12345}", "clients.a"),
        ("clients: {a: {secret: x, secret_hash: y}}", "one of secret and secret_hash"),
        ("clients: {a: {secret_hash: plain}}", "no known kind"),
        ("clients: {'a b': x}", "no client id"),
        ("clients: [a]", "clients"),
        ("users: {}", "users"),
        ("a: [", "not YAML"),
    ],
)
def test_a_mistake_in_the_file_stops_the_start_and_names_no_secret(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "auth_clients.yml"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=message) as refused:
        read_auth_file(path)
    assert "12345" not in refused.value.message and "0123456789abcdef" not in refused.value.message
