"""Nothing heavy is imported before it is used."""

import resource
import subprocess
import sys

import pytest

HEAVY = {"litellm", "langgraph", "chromadb", "a2a", "torch", "pandas"}
SERVED_LATER = {"pyiceberg"}


def _modules_after(code: str) -> set[str]:
    return {name.partition(".")[0] for name in _names_after(code)}


def _names_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(answer.stderr.split())


def _names_after_command(*words: str) -> set[str]:
    """What a command has imported when it ends."""
    started = f"import sys; sys.argv = ['headwater', *{words!r}]\nfrom headwater.__main__ import main"
    return _names_after(f"{started}\ntry: main()\nexcept SystemExit: pass")


def test_serving_imports_nothing_heavy() -> None:
    assert not _modules_after("import headwater.serve, headwater.faces, mcp_server.server, api.grpc") & (
        HEAVY | SERVED_LATER
    )


def test_the_version_is_printed_without_the_platform() -> None:
    loaded = _modules_after(
        "import sys; sys.argv = ['headwater', '--version']; from headwater.__main__ import main; main()"
    )
    assert not loaded & {"core", "engine", "pydantic", "click"}


def _cpu_s(*words: str) -> float:
    """CPU seconds that a command takes, the least of three."""
    return min(_once(words) for _ in range(3))


def _once(words: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "headwater", *words], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
@pytest.mark.parametrize("words", [("--help",), ("evals", "list"), ("run-workflow", "--help"), ("serve", "--help")])
def test_what_needs_no_engine_starts_within_a_second(words: tuple[str, ...]) -> None:
    assert _cpu_s(*words) < 1.0


def test_help_imports_no_engine_and_a_tools_help_no_other_tool() -> None:
    listed = {name.partition(".")[0] for name in _names_after_command("--help")}
    assert not listed & {"engine", "tools", "sqlglot", "sqlalchemy", "grpc"}
    shown = _names_after_command("list-roles", "--help")
    assert "tools.admin.roles" in shown and "headwater.build" not in shown
    assert not {name for name in shown if name.startswith("tools.") and not name.startswith("tools.admin")}
