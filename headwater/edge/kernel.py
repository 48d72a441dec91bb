"""The Linux calls of the sandbox that the standard library lacks, by ctypes."""

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
CAPSET = {"x86_64": 126, "aarch64": 91}
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


def enter_namespaces(flags: int) -> None:
    """New namespaces, with this process's own user as its only one. Raises OSError where they are not allowed."""
    user, group = os.geteuid(), os.getegid()
    _checked(_libc().unshare(flags))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def drop_capabilities() -> None:
    """Give up every capability, also those that a new user namespace came with. Raises OSError."""
    number = CAPSET.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, "capset")
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _checked(_libc().syscall(number, ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())))


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
