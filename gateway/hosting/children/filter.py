"""The list of system calls that a code plugin does not get, as a seccomp program.

Everything else stays as it is, so the interpreter works in full. Whoever asks for a socket, another
process or another program is ended on the spot (`SIGSYS`), so that the attempt has a name; the rest
is refused with `EPERM`. Two machines: x86_64 and aarch64.
"""

import struct
from typing import Final

# fmt: off
# name: (x86_64, aarch64); None: that machine has no such call
_ENDING: Final[dict[str, tuple[int | None, int | None]]] = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "execve": (59, 221), "execveat": (322, 281),
    "fork": (57, None), "vfork": (58, None),
}
_REFUSED: Final[dict[str, tuple[int | None, int | None]]] = {
    # other processes, also those of the same user
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "kcmp": (312, 272), "process_madvise": (440, 440),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "sched_setparam": (142, 118), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "setpgid": (109, 154),
    # who it is
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setfsuid": (122, 151),
    "setfsgid": (123, 152), "setgroups": (116, 159), "capset": (126, 91),
    # changing files: Landlock does not hold chmod, chown, utime, and truncate before Linux 6.2
    "creat": (85, None), "truncate": (76, 45), "ftruncate": (77, 46), "fallocate": (285, 47),
    "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37), "symlink": (88, None),
    "symlinkat": (266, 36), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None),
    "mknod": (133, None), "mknodat": (259, 33), "chmod": (90, None), "fchmod": (91, 52),
    "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "utimensat": (280, 88), "futimesat": (261, None), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fremovexattr": (199, 16), "setxattrat": (463, 463), "removexattrat": (466, 466),
    "flock": (73, 32), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "inotify_add_watch": (254, 27), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    # shared places, and ways round all of this
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "userfaultfd": (323, 282), "perf_event_open": (298, 241),
    "bpf": (321, 280), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "personality": (135, 92),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "syslog": (103, 116), "vhangup": (153, 58), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None),
}
_MISSING: Final = {"clone3": (435, 435), "openat2": (437, 437)}  # callers fall back to clone, openat
# name: (numbers, which argument, its refused values)
_BY_VALUE: Final = {
    "prctl": ((157, 167), 0, (1, 4)),  # PDEATHSIG, DUMPABLE: it must die with us, and stay closed
    "fcntl": ((72, 25), 1, (8, 10, 15)),  # SETOWN, SETSIG, SETOWN_EX: signals to others
    "ioctl": ((16, 29), 1, (0x5412, 0x8901, 0x8902)),  # TIOCSTI, FIOSETOWN, SIOCSPGRP
}
_WRITING: Final = 0o1 | 0o2 | 0o100 | 0o1000  # WRONLY, RDWR, CREAT, TRUNC
_BY_BITS: Final = {"open": ((2, None), 1, _WRITING), "openat": ((257, 56), 2, _WRITING)}
# fmt: on
_CLONE: Final = (56, 220)
_CLONE_THREAD: Final = 0x10000
_PRLIMIT: Final = (302, 261)

_ARCHES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_KILL: Final = 0x80000000
_EPERM: Final = 0x00050000 | 1
_ENOSYS: Final = 0x00050000 | 38
_ALLOW: Final = 0x7FFF0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32: Final = 0x40000000


def known(machine: str) -> bool:
    """Whether the numbers of this machine stand here."""
    return machine in _ARCHES


def _step(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def _return(what: int) -> bytes:
    return _step(_RETURN, 0, 0, what)


def _argument(index: int) -> bytes:
    return _step(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index)  # the low half: all that is looked at


def _plain(number: int, what: int) -> list[bytes]:
    return [_step(_EQUAL, 0, 1, number), _return(what)]


def _looking(number: int, argument: int, tests: list[bytes]) -> list[bytes]:
    """For one call: load an argument, test it, load the number again."""
    inner = [_argument(argument), *tests, _step(_LOAD, 0, 0, _NUMBER_AT)]
    return [_step(_EQUAL, 0, len(inner), number), *inner]


def program(machine: str) -> bytes:
    """The whole filter for `x86_64` or `aarch64`, as the kernel wants it: 8 bytes a step."""
    column, arch = _ARCHES[machine]
    steps = [_step(_LOAD, 0, 0, _ARCH_AT), _step(_EQUAL, 1, 0, arch), _return(_KILL)]
    steps.append(_step(_LOAD, 0, 0, _NUMBER_AT))
    if machine == "x86_64":
        steps += [_step(_AT_LEAST, 0, 1, _X32), _return(_KILL)]
    for table, what in ((_ENDING, _KILL), (_REFUSED, _EPERM), (_MISSING, _ENOSYS)):
        for numbers in table.values():
            if (number := numbers[column]) is not None:
                steps += _plain(number, what)
    for numbers, argument, values in _BY_VALUE.values():
        tests = [step for value in values for step in _plain(value, _EPERM)]
        steps += _looking(numbers[column], argument, tests)
    for opening, argument, bits in _BY_BITS.values():
        if (number := opening[column]) is not None:
            tests = [_step(_ANY_BIT, 0, 1, bits), _return(_EPERM)]
            steps += _looking(number, argument, tests)
    # clone makes a thread or another process; the second is what nobody may have.
    steps += _looking(_CLONE[column], 0, [_step(_ANY_BIT, 1, 0, _CLONE_THREAD), _return(_KILL)])
    # prlimit of oneself is how limits are read; of another process it is an attack.
    steps += _looking(_PRLIMIT[column], 0, [_step(_EQUAL, 1, 0, 0), _return(_EPERM)])
    return b"".join([*steps, _return(_ALLOW)])
