"""Every example of the Datus workflow API that concerns signing in and serving, as printed."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from core.errors import InvalidArgument
from engine.identity.auth_file import read_auth_file
from headwater.commands import cli
from tests.faces.served import Served
from tests.reference.examples import curl, differences

TOKEN_ANSWER = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...",
    "token_type": "Bearer",
    "expires_in": 7200,
}
SIGN_IN = """curl -X POST "http://localhost:8000/auth/token" \\
  -H "Content-Type: application/x-www-form-urlencoded" \\
  -d "client_id=your_client_id&client_secret=your_client_secret&grant_type=client_credentials\""""
AUTH_CLIENTS = """\
clients:
  your_client_id: your_client_secret
  another_client: another_secret

jwt:
  secret_key: your-jwt-secret-key-change-in-production
  algorithm: HS256
  expiration_hours: 2
"""


def test_the_documented_command_gets_a_token(platform: Served) -> None:
    answer = curl(platform, SIGN_IN)
    assert differences(TOKEN_ANSWER, answer) == []
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 7200)
    header = json.loads(urlsafe_b64decode(answer["access_token"].partition(".")[0] + "=="))
    assert (header["alg"], header["typ"]) == ("HS256", "JWT")


def test_the_documented_request_text_gets_a_token(platform: Served) -> None:
    answer = httpx.post(
        platform.url("rest") + "/auth/token",
        content="client_id=your_client_id&client_secret=your_client_secret&grant_type=client_credentials",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert differences(TOKEN_ANSWER, answer.json()) == []


def test_the_token_is_used_as_documented(platform: Served) -> None:
    token = curl(platform, SIGN_IN)["access_token"]
    who = curl(
        platform,
        """curl -X GET "http://localhost:8000/v1/users/me" \\
  -H "Authorization: Bearer your_jwt_token" \\
  -H "Content-Type: application/json\"""",
        token=token,
    )
    assert (who["id"], who["tenant_id"], who["roles"]) == ("your_client_id", "default", ["editor"])


def test_basic_credentials_work_as_curl_sends_them(platform: Served) -> None:
    answer = curl(
        platform,
        """curl -X POST "http://localhost:8000/auth/token" -u another_client:another_secret \\
  -d "grant_type=client_credentials\"""",
    )
    assert differences(TOKEN_ANSWER, answer) == []


def test_a_wrong_secret_is_refused_in_oauths_shape(platform: Served) -> None:
    form = {"client_id": "another_client", "client_secret": "wrong", "grant_type": "client_credentials"}
    answer = httpx.post(platform.url("rest") + "/auth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json()["code"] == "UNAUTHENTICATED" and answer.json()["request_id"]


def test_the_documented_clients_file_reads_once_its_example_secret_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "auth_clients.yml"
    path.write_text(AUTH_CLIENTS)
    with pytest.raises(InvalidArgument, match="example from the documentation"):
        read_auth_file(path)
    path.write_text(AUTH_CLIENTS.replace("your-jwt-secret-key-change-in-production", "k" * 40))
    found = read_auth_file(path)
    assert set(found.clients) == {"your_client_id", "another_client"}
    assert found.lifetime_s == 7200 and found.shared is not None and found.shared.algorithm == "HS256"


@pytest.mark.parametrize("flag", ["--host", "--port", "--workers", "--reload", "--debug", "--daemon"])
def test_the_documented_server_parameters_exist(flag: str) -> None:
    shown = CliRunner().invoke(cli, ["serve", "--help"])
    assert shown.exit_code == 0 and flag in shown.output
