"""Which errors are the system's fault, and what people are told then."""

import errno
import os
import sqlite3
import tempfile
from pathlib import Path

import pytest

from internvid.web.errors import NetworkTrouble
from resources.incremental.faults import (
    ModelUnavailable,
    ServerUnreachable,
    SystemFault,
    raising_faults,
    system_fault_of,
)
from resources.lake.store import Lake


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class ClientError(Exception):
    """Named as botocore's."""


class NoCredentialsError(Exception):
    """Named as botocore's."""


def os_error(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


TEMPORARY = str(Path(tempfile.gettempdir(), "frames", "1.jpg"))
REFUSED = "the object store refuses the credentials"

FAULTS = {
    "no room": (os_error(errno.ENOSPC, __file__), SystemFault, "no room left on the disk of /"),
    "quota": (os_error(errno.EDQUOT), SystemFault, "no room left on the disk of"),
    "no room, told by Lance": (
        OSError(f"LanceError(IO): No space left on device (os error 28), {__file__}"),
        SystemFault,
        "no room left on the disk of /",
    ),
    "no room, told by SQLite": (
        sqlite3.OperationalError("database or disk is full"),
        SystemFault,
        "no room left for Dagster's storage",
    ),
    "no room for SQLite's log": (
        sqlite3.OperationalError("disk I/O error"),
        SystemFault,
        "no room left for Dagster's storage",
    ),
    "read-only": (os_error(errno.EROFS, "/lake"), SystemFault, "the disk is read-only: "),
    "files": (os_error(errno.EMFILE), SystemFault, "raise `ulimit -n`"),
    "memory": (os_error(errno.ENOMEM), SystemFault, "lower INTERNVID_WORKERS"),
    "our own folder": (os_error(errno.EACCES, TEMPORARY), SystemFault, f"no permission to write {TEMPORARY}"),
    "device": (OutOfMemoryError("CUDA out of memory"), ModelUnavailable, "the device is out of memory: CUDA"),
    "no credentials": (NoCredentialsError("Unable to locate credentials"), SystemFault, REFUSED),
    "refused": (ClientError("An error occurred (AccessDenied)"), SystemFault, REFUSED),
    "refused, told by Lance": (OSError("LanceError(IO): Generic S3 error: InvalidAccessKeyId"), SystemFault, REFUSED),
    "no store": (
        OSError("LanceError(IO): error sending request for url (http://127.0.0.1:9/lakes)"),
        ServerUnreachable,
        "the object store does not answer: ",
    ),
    "a store that breaks off": (
        OSError(
            "LanceError(IO): Generic S3 error: Error getting list response body: HTTP error: request or response body "
            "error, /home/runner/work/lance/rust/lance-io/src/object_store.rs:182:69"
        ),
        ServerUnreachable,
        "the object store fails: LanceError(IO): Generic S3 error: Error getting list response body: HTTP error: "
        "request or response body error. Once it answers, the next run goes on by itself",
    ),
}

OWN_ERRORS = {
    "content": ValueError("moov atom not found"),
    "missing": os_error(errno.ENOENT, "/videos/a.mp4"),
    "not readable": os_error(errno.EACCES, "/videos/a.mp4"),
    "network": NetworkTrouble("timed out"),
    "client": ClientError("An error occurred (NoSuchKey)"),
    "reset": ConnectionResetError("reset by peer"),
}


@pytest.mark.parametrize(("error", "kind", "text"), FAULTS.values(), ids=FAULTS)
def test_errors_of_the_system_are_told_with_what_to_do(error: Exception, kind: type, text: str):
    fault = system_fault_of(error)
    assert type(fault) is kind
    assert text in str(fault)


@pytest.mark.parametrize("error", OWN_ERRORS.values(), ids=OWN_ERRORS)
def test_errors_of_an_input_are_no_faults(error: Exception):
    assert system_fault_of(error) is None
    with pytest.raises(type(error)) as raised, raising_faults():
        raise error
    assert raised.value is error


def test_a_fault_stays_as_it_was_raised():
    fault = ServerUnreachable("nobody answers")
    with pytest.raises(ServerUnreachable) as raised, raising_faults():
        raise fault
    assert (raised.value, raised.value.__cause__) == (fault, None)


def test_a_fault_keeps_the_error_that_it_stands_for():
    error = os_error(errno.ENOSPC)
    with pytest.raises(SystemFault) as raised, raising_faults():
        raise error
    assert raised.value.__cause__ is error


def test_an_error_that_a_fault_caused_is_that_fault():
    wrapped = ValueError("the picture could not be written")
    wrapped.__cause__ = os_error(errno.ENOSPC)
    assert "no room left" in str(system_fault_of(wrapped))


def test_a_snapshot_that_was_removed_while_it_was_read_is_named(lake: Lake):
    with pytest.raises(SystemFault, match=r"^the snapshot gone was removed while it was read"), raising_faults():
        lake.dataset("clips", "gone")
