"""Nothing heavy is imported before it is used."""

import subprocess
import sys

HEAVY = {"litellm", "langgraph", "chromadb", "a2a", "torch", "pandas"}
SERVED_LATER = {"pyiceberg"}


def _modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in answer.stdout.split()}


def test_serving_imports_nothing_heavy() -> None:
    assert not _modules_after("import headwater.serve, headwater.faces, mcp_server.server, api.grpc") & (
        HEAVY | SERVED_LATER
    )


def test_the_version_is_printed_without_the_platform() -> None:
    loaded = _modules_after(
        "import sys; sys.argv = ['headwater', '--version']; from headwater.__main__ import main; main()"
    )
    assert not loaded & {"core", "engine", "pydantic", "click"}
