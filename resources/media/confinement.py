"""Takes from a process what a decoder does not need: to write elsewhere, to reach a network, to start programs.

A file that takes over its decoder can then neither change a file nor send one away. Landlock forbids writing, programs
and TCP; a filter of system calls (seccomp) forbids sockets of any other kind. Both need no privilege. A kernel without
them leaves the process as it was: `available` says which there are.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

# Of <linux/landlock.h>, by the version of the interface that has them.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _TRUNCATE = 1 << 0, 1 << 1, 1 << 14
_CHANGE_NAMES = sum(1 << bit for bit in range(4, 13))  # remove and make files, folders, links, devices
_WRITING = ((1, _WRITE_FILE | _CHANGE_NAMES), (2, 1 << 13), (3, _TRUNCATE))
_TCP = 0b11  # bind and connect
_VERSION_WITH_TCP = 4

# Of <linux/prctl.h>, <linux/seccomp.h>, <linux/audit.h> and the tables of system calls.
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _MACHINE_AT = 0, 4
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # and the number of socket()
_IO_URING_SETUP = 425  # it opens sockets without socket()
_X32 = 0x40000000  # the same calls by other numbers


@dataclass(frozen=True)
class Confinement:
    """What a process may still do.

    folder: the only one in which it may change files; its temporary files go there. network: whether it may connect.
    """

    folder: str
    network: bool = False


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def confine(to: Confinement) -> None:
    """Restricts this thread and those that it starts from now on, as far as the kernel can. It cannot be undone."""
    tempfile.tempdir = to.folder
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return  # a kernel before 3.5
    if version := _landlock_version():
        _restrict_files(libc, version, to)
    if not to.network and platform.machine() in _MACHINES:
        _refuse_sockets(libc, *_MACHINES[platform.machine()])


def available() -> list[str]:
    """Returns what is forbidden to a confined process on this machine."""
    if sys.platform != "linux":
        return []
    forbidden = ["to write elsewhere", "to start programs"] if _landlock_version() else []
    return forbidden + ["to reach a network"] * (platform.machine() in _MACHINES)


def _landlock_version() -> int:
    """Returns the version of the kernel's interface, 0 without one."""
    return max(0, ctypes.CDLL(None).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG))


def _restrict_files(libc: ctypes.CDLL, version: int, to: Confinement) -> None:
    writing = sum(rights for since, rights in _WRITING if version >= since)
    has_tcp = version >= _VERSION_WITH_TCP
    rules = _Ruleset(writing | _EXECUTE, 0 if to.network or not has_tcp else _TCP)
    size = ctypes.c_size_t(ctypes.sizeof(rules) if has_tcp else 8)
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0))
    try:
        _allow(libc, ruleset, "/dev/null", writing & (_WRITE_FILE | _TRUNCATE))
        _allow(libc, ruleset, to.folder, writing)
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _Beneath(rights, folder)
        _checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(folder)


def _refuse_sockets(libc: ctypes.CDLL, machine: int, socket_call: int) -> None:
    """Refuses socket(), and the calls that could take its place."""
    refuse, allow = "refuse", "allow"
    lines: Sequence[tuple[int, int, str | None, str | None]] = (  # code, value, where to go if true, and if false
        (_LOAD, _MACHINE_AT, None, None),
        (_EQUAL, machine, None, refuse),
        (_LOAD, _NUMBER_AT, None, None),
        (_AT_LEAST, _X32, refuse, None),
        (_EQUAL, _IO_URING_SETUP, refuse, None),
        (_EQUAL, socket_call, refuse, allow),
        (_RETURN, _REFUSE, None, None),
        (_RETURN, _ALLOW, None, None),
    )
    places = {refuse: len(lines) - 2, allow: len(lines) - 1}

    def jump(line: int, to: str | None) -> int:
        return places[to] - line - 1 if to else 0

    instructions = (_Instruction * len(lines))(
        *(
            _Instruction(code, jump(line, if_true), jump(line, if_false), value)
            for line, (code, value, if_true, if_false) in enumerate(lines)
        )
    )
    program = _Program(len(lines), instructions)
    _checked(libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"this process could not be confined: {os.strerror(number)}")
    return result
