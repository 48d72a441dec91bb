"""`headwater doctor`: what holds on this machine, and what to do about the rest."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from core.errors import PlatformError
from core.settings import Settings
from headwater.running import running

MIN_FREE_MB = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `state` is ok, note (works with less) or bad (does not work)."""

    state: str
    what: str
    advice: str = ""


def examine(settings: Settings) -> int:
    """Print every finding. Returns 1 when something that is needed does not hold."""
    findings = [finding for check in CHECKS for finding in check(settings)]
    console = Console(highlight=False, soft_wrap=True)  # paths and commands stay whole, to be copied
    marks = {"ok": "[green]ok[/green]  ", "note": "[yellow]note[/yellow]", "bad": "[red]bad[/red] "}
    for finding in findings:
        console.print(f"{marks[finding.state]} {escape(finding.what)}")
        if finding.advice:
            console.print(f"     {finding.advice}", markup=False)
    return int(any(finding.state == "bad" for finding in findings))


def _python(settings: Settings) -> list[Finding]:
    version = platform.python_version()
    if version.startswith("3.11."):
        return [Finding("ok", f"Python {version}")]
    return [Finding("note", f"Python {version}", "Tested on 3.11; later versions are expected to work.")]


def _home(settings: Settings) -> list[Finding]:
    home = settings.home
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free_mb = shutil.disk_usage(existing).free // 2**20
    findings = [Finding("ok", f"home {home}, {free_mb:,} MB free")]
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        findings = [Finding("bad", f"home {home} cannot be written", "Choose another with --home or HEADWATER_HOME.")]
    elif free_mb < MIN_FREE_MB:
        findings = [Finding("bad", f"only {free_mb} MB free at {existing}", "Free some space, or move the home.")]
    return findings + _key_mode(home)


def _key_mode(home: Path) -> list[Finding]:
    key = home / "keys" / "root.key"
    if not key.exists():
        return [Finding("ok", "no keys yet; the first start makes them")]
    if key.stat().st_mode & 0o077:
        return [Finding("bad", f"{key} can be read by others", f"chmod 600 {key}")]
    return [Finding("ok", "root key is private to its owner")]


def _engine(settings: Settings) -> list[Finding]:
    wanted = importlib.metadata.version("duckdb")
    findings = [Finding("ok", f"DuckDB {wanted}")]
    for name in ("avro", "httpfs", "iceberg", "postgres-scanner", "sqlite-scanner"):
        package = f"duckdb-extension-{name}"
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            state = "bad" if name in ("avro", "iceberg") else "note"
            findings.append(Finding(state, f"{package} is missing", f"pip install {package}=={wanted}"))
            continue
        if found != wanted:
            advice = f"Extensions load only into their own version: pip install {package}=={wanted}"
            findings.append(Finding("bad", f"{package} {found} does not fit DuckDB {wanted}", advice))
        else:
            findings.append(Finding("ok", f"{package} {found}"))
    return findings


def _store(settings: Settings) -> list[Finding]:
    from headwater.upkeep import describe_store  # lazily: needs SQLAlchemy

    try:
        return [Finding("ok", describe_store(settings))]
    except PlatformError as error:
        return [Finding("bad", f"store: {error.message}", error.hint)]


def _optional(settings: Settings) -> list[Finding]:
    wanted = [
        ("redis", bool(settings.limits.redis_url.get_secret_value()), "limits shared through Redis", "redis"),
        ("opentelemetry.exporter", bool(settings.telemetry.otlp_endpoint), "traces to an OTLP endpoint", "otlp"),
    ]
    return [
        Finding("bad", f"{what} are set, but the package is missing", f"pip install 'headwater[{extra}]'")
        for module, is_set, what, extra in wanted
        if is_set and not _has(module)
    ]


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _servers(settings: Settings) -> list[Finding]:
    found = [Finding("ok", f"a server runs on this home: {server}") for server in running(settings.home)]
    return found or [Finding("ok", "no server runs on this home")]


def _exposure(settings: Settings) -> list[Finding]:
    from headwater.serve import check_exposure

    try:
        warnings = check_exposure(settings)
    except PlatformError as error:
        return [Finding("bad", error.message, error.hint)]
    return [Finding("note", text) for text in warnings] or [Finding("ok", "no face is exposed in plain text")]


def _sandbox(settings: Settings) -> list[Finding]:
    """What holds a data plane back on this machine."""
    from headwater.edge.sandbox import offered, straddling

    if settings.edge.url:
        return [Finding("ok", f"statements run in the data plane at {settings.edge.url}")]
    if settings.edge.isolation == "thread":
        advice = "A query that crashes the engine takes the server with it; edge.isolation = process keeps them apart."
        return [Finding("note", "statements run inside the server", advice)]
    found = offered()
    findings = [
        Finding("ok", f"data plane: {said}") if found[name] else Finding("note", f"data plane: {lacking}", advice)
        for name, said, lacking, advice in SANDBOX
    ]
    for root in straddling(settings.query.allowed_roots, settings.home):
        advice = "New entries beside the home are readable after a restart; name narrower query.allowed_roots."
        findings.append(Finding("note", f"the allowed root {root} holds the home", advice))
    return findings


SANDBOX = (
    (
        "landlock",
        "Landlock keeps it to the data it reads and its own temp folder",
        "no Landlock here, so it could read what this user can",
        "Linux 5.13 or newer has it; until then the parser and the engine's own settings hold queries back.",
    ),
    (
        "namespace",
        "no network for files, DuckDB, SQLite and the lakehouse",
        "no network namespaces here",
        "Landlock of Linux 6.7 or newer closes TCP all the same; else raise sysctl user.max_user_namespaces.",
    ),
)


CHECKS: tuple[Callable[[Settings], list[Finding]], ...] = (
    _python,
    _home,
    _engine,
    _store,
    _optional,
    _servers,
    _exposure,
    _sandbox,
)
