"""The Linux calls of the sandbox that the standard library lacks, by ctypes."""

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
CAPGET = {"x86_64": 125, "aarch64": 90}
READ_ALL_FILES, PASS_ALL_MODES = 1 << 2, 1 << 1  # CAP_DAC_READ_SEARCH and CAP_DAC_OVERRIDE
NEW_USER, NEW_NET = 0x10000000, 0x40000000
NO_NEW_PRIVS, DEATH_SIGNAL, DUMPABLE = 38, 1, 4
CAPABILITY_VERSION = 0x20080522

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_SOCKET = 1 << 5, 1 << 9
READ = EXECUTE | READ_FILE | READ_DIR
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14 | 1 << 15
"""Rights that a rule for a single file may have."""
RIGHTS_BY_ABI = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
NET_ABI, NET_RIGHTS = 4, 0b11  # bind and connect of TCP
SCOPE_ABI, SCOPES = 6, 0b11  # abstract sockets and signals


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("rights", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_abi() -> int:
    """The version of Landlock here; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(LANDLOCK_CREATE, None, 0, 1)))


def all_rights(abi: int) -> int:
    return sum(rights for since, rights in RIGHTS_BY_ABI if abi >= since)


def landlock(grants: Mapping[Path, int], *, allows_network: bool) -> None:
    """Take from this process every access to files but `grants`, and TCP unless allowed. Raises OSError."""
    abi = landlock_abi()
    handled = all_rights(abi)
    has_net = abi >= NET_ABI and not allows_network
    ruleset = _Ruleset(handled, NET_RIGHTS if has_net else 0, SCOPES if abi >= SCOPE_ABI else 0)
    size = 24 if abi >= SCOPE_ABI else 16 if abi >= NET_ABI else 8
    made = _checked(_libc().syscall(LANDLOCK_CREATE, ctypes.byref(ruleset), size, 0))
    try:
        for path, rights in grants.items():
            _grant(made, path, rights & handled)
        prctl(NO_NEW_PRIVS, 1)
        _checked(_libc().syscall(LANDLOCK_RESTRICT, made, 0))
    finally:
        os.close(made)


def _grant(ruleset: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return  # what is not there needs no right
    try:
        rule = _Beneath(rights if path.is_dir() else rights & OF_FILES, opened)
        _checked(_libc().syscall(LANDLOCK_ADD, ruleset, 1, ctypes.byref(rule), 0))
    finally:
        os.close(opened)


def leave_network() -> bool:
    """A network namespace of its own, empty. True when it took a user namespace too. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    if _libc().unshare(NEW_NET) == 0:  # who is root needs no user namespace, in which it would be root no more
        return False
    _checked(_libc().unshare(NEW_USER | NEW_NET))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def drop_capabilities(*, keeps_reading: bool) -> None:
    """Give up every capability but, with `keeps_reading`, that of root to read files of others. Raises OSError."""
    capget = CAPGET.get(platform.machine())
    if capget is None:
        raise OSError(errno.ENOSYS, "capset")
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    _checked(_libc().syscall(capget, ctypes.byref(header), ctypes.byref(sets)))
    permitted = sets[1] if keeps_reading else 0
    kept = (permitted & READ_ALL_FILES) or (permitted & PASS_ALL_MODES)
    wanted = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    _checked(_libc().syscall(capget + 1, ctypes.byref(header), ctypes.byref(wanted)))


def prctl(option: int, value: int) -> None:
    """Raises OSError."""
    _checked(_libc().prctl(option, value, 0, 0, 0))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
