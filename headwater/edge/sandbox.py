"""What the data plane may still do: read the data, write its temp folder, and reach the network only if it must.

Each layer stands alone: what this system lacks is left out, and said by `headwater doctor` and Ping."""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.connectors.places import real_path
from headwater.edge import kernel

FILE_LIMIT_BYTES = 4 * 2**30
LOADED_MB = 1024
"""Code, stacks of threads and Arrow buffers, beside what the budget counts."""

SYSTEM = ("/usr", "/lib", "/lib64", "/opt", "/nix", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
          "/etc/localtime", "/etc/timezone", "/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat",
          "/sys/fs/cgroup", "/sys/devices/system/cpu", "/dev/urandom", "/dev/random", "/dev/zero")  # fmt: skip
NETWORK = ("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services",
           "/etc/passwd", "/etc/group", "/etc/ssl", "/etc/pki", "/etc/ca-certificates")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Walls:
    """What one process is kept to: `roots` without what lies in `hidden`, `readable` wherever it lies."""

    roots: Sequence[Path]
    readable: Sequence[Path]
    hidden: Sequence[Path]
    temp: Path
    sockets: Path | None
    needs_network: bool
    listens: bool = False
    memory_mb: int = 0


def confine(walls: Walls) -> dict[str, bool]:
    """Build every wall that this system offers around this process; says which stand.

    Call it before any thread is started: Landlock holds for the calling thread and those it starts."""
    is_offline = not (walls.needs_network or walls.listens)
    in_own_users: list[bool] = []
    built = {
        "namespace": is_offline and _tried(lambda: in_own_users.append(kernel.leave_network())),
        "capabilities": _tried(lambda: kernel.drop_capabilities(keeps_reading=not any(in_own_users))),
        "landlock": kernel.landlock_abi() > 0
        and _tried(lambda: kernel.landlock(grants(walls), allows_network=not is_offline)),
        "no_new_privileges": _tried(lambda: kernel.prctl(kernel.NO_NEW_PRIVS, 1)),
        "private_memory": _tried(lambda: kernel.prctl(kernel.DUMPABLE, 0)),
    }
    _limit(walls)
    has_net_rights = built["landlock"] and kernel.landlock_abi() >= kernel.NET_ABI
    return built | {"network_off": is_offline and (built["namespace"] or has_net_rights)}


def die_with_parent() -> None:
    with contextlib.suppress(OSError):
        kernel.prctl(kernel.DEATH_SIGNAL, signal.SIGKILL)


def grants(walls: Walls) -> dict[Path, int]:
    """Path -> rights, for Landlock. The more specific rule adds to the wider one."""
    found: dict[Path, int] = {}
    reads = [*map(Path, SYSTEM), *_code(), *(map(Path, NETWORK) if walls.needs_network else ())]
    for path in (*_around(reads, walls.hidden), *_around(walls.roots, walls.hidden), *map(real_path, walls.readable)):
        found[path] = kernel.READ
    found[Path("/dev/null")] = kernel.READ_FILE | kernel.WRITE_FILE
    found[walls.temp] = kernel.all_rights(kernel.landlock_abi()) & ~kernel.EXECUTE
    if walls.sockets is not None:
        found[walls.sockets] = kernel.MAKE_SOCKET | kernel.REMOVE_FILE | kernel.READ_DIR
    return found


def _code() -> Iterator[Path]:
    """Python, the installed packages and our own; not the folder that ours lie in, which may hold anything."""
    yield from map(Path, (sys.prefix, sys.base_prefix, sys.exec_prefix))
    yield real_path(sys.executable)
    for name in ("core", "engine", "headwater"):
        yield from map(Path, sys.modules[name].__path__)
    yield from (Path(entry) for entry in sys.path if "site-packages" in entry or "dist-packages" in entry)


def _around(paths: Iterable[Path], hidden: Sequence[Path]) -> Iterator[Path]:
    """The paths; one that a hidden folder lies in is parted into what lies beside it."""
    for path in map(real_path, paths):
        if any(path.is_relative_to(secret) for secret in hidden):
            continue
        if not any(secret.is_relative_to(path) for secret in hidden):
            yield path
            continue
        with contextlib.suppress(OSError):
            yield from _around((entry for entry in path.iterdir() if not entry.is_symlink()), hidden)


def _limit(walls: Walls) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, FILE_LIMIT_BYTES)
    if walls.memory_mb:
        # Not RLIMIT_AS: allocators reserve address space by the gigabyte that they never touch.
        _lower(resource.RLIMIT_DATA, (walls.memory_mb + LOADED_MB) * 2**20)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _tried(build: Callable[[], object]) -> bool:
    try:
        build()
    except OSError:
        return False
    return True


def prepare_warehouse(home: Path) -> None:
    """Make the folder of the lakehouses: Landlock gives no right to what is not there when a data plane starts."""
    (home / "warehouse").mkdir(exist_ok=True)


def straddling(roots: Iterable[Path], home: Path) -> list[Path]:
    """Roots that the home lies in: they are opened entry by entry, as they are when a data plane starts."""
    return [root for root in roots if real_path(home).is_relative_to(real_path(root))]


def offered() -> Mapping[str, bool]:
    """What this system would offer, tried in a process of its own."""
    if not sys.platform.startswith("linux"):
        return {"landlock": False, "namespace": False}
    child = os.fork()
    if child == 0:
        os._exit(0 if _tried(lambda: kernel.leave_network()) else 1)
    return {"landlock": kernel.landlock_abi() > 0, "namespace": os.waitpid(child, 0)[1] == 0}
