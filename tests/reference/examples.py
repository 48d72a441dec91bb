"""Runs the documents' own commands, and compares answers with the documents' own answers."""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.faces.served import Served

HOSTS = ("https://api.datafi.io", "http://localhost:8000", "http://localhost:3000")
PLACEHOLDERS = ("eyJhbGciOiJSUzI1NiIs...", "your_jwt_token")


def curl(served: Served, command: str, *, token: str = "", role: str = "admin") -> Any:
    """The JSON that a literal curl command is answered with; only host and token are ours."""
    if shutil.which("curl") is None:
        pytest.skip("the curl program is not installed")
    token = token or served.tokens[role]
    for host in HOSTS:
        command = command.replace(host, served.url("rest"))
    for placeholder in PLACEHOLDERS:
        command = command.replace(placeholder, token)
    command = command.replace("curl ", "curl --silent --show-error --fail-with-body --noproxy '*' --max-time 20 ", 1)
    environment = {"PATH": os.environ["PATH"], "TOKEN": token}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout) if done.stdout else None


def differences(example: Any, answer: Any, where: str = "answer") -> list[str]:
    """What of a documented answer is missing or of another JSON type; more fields may be there.

    Null stands for a value of any type, in the example as in the answer."""
    if example is None or answer is None:
        return []
    if kind(example) != kind(answer):
        return [f"{where}: {kind(answer)}, documented as {kind(example)}"]
    if isinstance(example, dict):
        missing = [f"{where}.{name} is missing" for name in example if name not in answer]
        shared = [name for name in example if name in answer]
        return missing + [
            text for name in shared for text in differences(example[name], answer[name], f"{where}.{name}")
        ]
    if isinstance(example, list) and example:
        assert answer, f"{where} is empty: the fixture holds nothing to compare"
        return [text for item in answer for text in differences(example[0], item, f"{where}[]")]
    return []


def kind(value: Any) -> str:
    """The JSON type; the documents' numbers with a point may be whole."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return type(value).__name__
