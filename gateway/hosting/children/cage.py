"""The cage around a code plugin: what the kernel takes away before a line of it runs.

Nothing here needs a privilege; what root can do in addition (another user id, an own network) is
done where we are root. The order matters: limits, user, network, Landlock, death signal, seccomp.
A child is *confined* when the system calls are filtered and it can read no file of ours: by Landlock
or by another user id.
"""

import ctypes
import os
import platform
import signal
import struct
import sys
import sysconfig
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.hosting.children import filter as calls

if sys.platform != "win32":  # where this module is imported too, to say that there is no cage
    import resource

MEMORY: Final = 256 << 20
CPU_SECONDS: Final = 300  # of one child's whole life; the pool renews it long before
DESCRIPTORS: Final = 16
NOBODY: Final = 65534

LANDLOCK, SECCOMP, USER, NETWORK = "landlock", "seccomp", "user", "network"
PARTS: Final = (LANDLOCK, SECCOMP, USER, NETWORK)

_CREATE_RULESET, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}  # ABI: how many rights to files it knows
_ABI_WITH_TCP, _ABI_WITH_SCOPE = 4, 6
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME = 1, 4, 15
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 22, 38, 2
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_EFAULT: Final = 14
_CAPABILITY_VERSION: Final = 0x20080522


def available() -> frozenset[str]:
    """What this machine can take away: of "landlock", "seccomp", "user", "network"."""
    if platform.system() != "Linux":
        return frozenset()
    libc = ctypes.CDLL(None, use_errno=True)
    found = set()
    if _abi(libc) >= 1:
        found.add(LANDLOCK)
    # No program is given, so a kernel that could filter says that the address is bad.
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, 0, 0, 0) and ctypes.get_errno() == _EFAULT:
        found |= {SECCOMP} if calls.known(platform.machine()) else set()
    if os.getuid() == 0:
        found |= {USER, NETWORK}
    elif _others_may_unshare():
        found.add(NETWORK)
    return frozenset(found)


def confined(held: Collection[str]) -> bool:
    """Whether that is enough to run a department's code."""
    return SECCOMP in held and (LANDLOCK in held or USER in held)


def named_parts(told: object) -> frozenset[str]:
    """The parts of a cage that a child says it has; its word is not trusted with anything else."""
    return frozenset(told).intersection(PARTS) if isinstance(told, list) else frozenset()


def _others_may_unshare() -> bool:
    for name in ("kernel/unprivileged_userns_clone", "user/max_user_namespaces"):
        with suppress(OSError):
            if Path("/proc/sys", name).read_text("ascii").strip() == "0":
                return False
    return Path("/proc/self/ns/user").exists()


def readable() -> list[str]:
    """Where the interpreter may still read: the standard library, the contract, time zones."""
    paths = sysconfig.get_paths()
    contract = Path(__file__).parents[2] / "contract"
    own = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return [*sorted(own), str(contract), "/usr/share/zoneinfo", "/lib", "/usr/lib", "/lib64"]


def die_with(parent: int) -> None:
    """End with the parent, however it ends; at once if it has already gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def named(name: bytes) -> None:
    """What process lists show."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, ctypes.c_char_p(name[:15]), 0, 0, 0)


def shut(parent: int, without: Collection[str] = ()) -> frozenset[str]:
    """Close the cage around this process for good; what holds it now.

    `without` leaves out parts that this machine is to be treated as not having.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    held = set()
    _limit()
    # As root the network comes first: nobody may not make one where user namespaces are off.
    if NETWORK not in without and libc.unshare(_NEW_NETWORK) == 0:
        held.add(NETWORK)
    if USER not in without and _another_user():
        held.add(USER)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if NETWORK not in without and NETWORK not in held and _own_network(libc):
        held.add(NETWORK)
    if LANDLOCK not in without and _landlock(libc):
        held.add(LANDLOCK)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    die_with(parent)  # after the change of user, which clears it
    if SECCOMP not in without and _seccomp(libc):
        held.add(SECCOMP)
    return frozenset(held)


def _limit() -> None:
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, CPU_SECONDS),
    ):
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def _another_user() -> bool:
    """As root: become nobody, for root could lift every limit again."""
    if os.getuid() != 0:
        return False
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        return False
    return True


def _own_network(libc: ctypes.CDLL) -> bool:
    if libc.unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return False
    # A user namespace of one's own comes with every capability inside it: give them back.
    head = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    return bool(libc.capset(head, bytes(24)) == 0)


def _abi(libc: ctypes.CDLL) -> int:
    return int(libc.syscall(_CREATE_RULESET, None, 0, 1))


def _landlock(libc: ctypes.CDLL) -> bool:
    abi = _abi(libc)
    if abi < 1:
        return False
    rights = (1 << _RIGHTS.get(abi, 16)) - 1
    tcp = 3 if abi >= _ABI_WITH_TCP else 0
    scope = 3 if abi >= _ABI_WITH_SCOPE else 0  # abstract unix sockets, signals
    size = 24 if abi >= _ABI_WITH_SCOPE else 16 if abi >= _ABI_WITH_TCP else 8
    wanted = struct.pack("QQQ", rights, tcp, scope)[:size]
    ruleset = int(libc.syscall(_CREATE_RULESET, wanted, size, 0))
    if ruleset < 0:
        return False
    for path in readable():
        _let_read(libc, ruleset, path)
    done = libc.syscall(_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return bool(done)


def _let_read(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there, or not for this user: then it cannot be read anyway
    rule = struct.pack("=Qi", _READ_FILE | _READ_FOLDER, place)
    libc.syscall(_ADD_RULE, ruleset, 1, rule, 0)
    os.close(place)


class _Program(ctypes.Structure):
    _fields_ = (("steps", ctypes.c_ushort), ("at", ctypes.c_void_p))


def _seccomp(libc: ctypes.CDLL) -> bool:
    machine = platform.machine()
    if sys.byteorder != "little" or not calls.known(machine):
        return False
    raw = calls.program(machine)
    kept = ctypes.create_string_buffer(raw, len(raw))
    whole = _Program(len(raw) // 8, ctypes.addressof(kept))
    return bool(libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(whole), 0, 0) == 0)
