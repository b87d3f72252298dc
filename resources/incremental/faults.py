"""Errors of the system, told from errors of a row: the first end the run, the second become rows of attempts.

A missing model, a server that does not answer, a full or read-only disk, refused credentials, a device out of memory:
none of them is the fault of the unit that met with it. The run ends with one message, every unit that was not done
stays pending, and the next run goes on by itself.
"""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
OUT_OF_RESOURCES = {
    errno.EMFILE: "this process has too many files open: raise `ulimit -n`",
    errno.ENFILE: "the system has too many files open",
    errno.ENOMEM: "the system has no memory left: lower INTERNVID_WORKERS",
}
# Lance reports the error of the disk or the bucket as text within an OSError.
_NO_ROOM_TEXT = re.compile(r"No space left on device|Disk quota exceeded|os error (28|122)\b")
_READ_ONLY_TEXT = re.compile(r"Read-only file system|os error 30\b")
_CREDENTIALS_TEXT = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|AccessDenied|Access ?Denied|InvalidToken|NoCredentials"
    r"|Unable to locate credentials|credential provider",
    re.IGNORECASE,
)
_UNREACHABLE_STORE_TEXT = re.compile(
    r"error sending request for url|EndpointConnectionError|Could not connect to the endpoint"
)
# What Lance's client of a store says once it has tried again often enough, also where DuckDB quotes it.
_STORE_FAILS_TEXT = re.compile(r"Generic (S3|GCS|MicrosoftAzure|HTTP) error|HTTP error: request or response body error")
# Lance says so in errors of several classes, and DuckDB quotes it.
_DAMAGED_TEXT = re.compile(
    r"[Nn]ot found: \S*\.lance/|Object at location \S*\.lance/\S+ not found|Encountered corrupt file"
    r"|does not appear to be a Lance file|LanceError\(IO\).*(failed to decode|failed to fill whole buffer"
    r"|file size is too small|Invalid range 0\.\.0)"
)
_NO_SNAPSHOT_TEXT = re.compile(r"Ref not found error: tag (\S+) does not exist")
_POSTGRES_REFUSES_TEXT = re.compile(r"FATAL: .*(authentication failed|does not exist|no pg_hba|not permitted|denied)")
_POSTGRES_AWAY_TEXT = re.compile(
    r"connection to server|server closed the connection|terminating connection|connection already closed"
    r"|could not translate host name|SSL connection has been closed|the database system is|too many clients"
)
_CREDENTIAL_ERRORS = frozenset(("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"))
_PATH_IN_TEXT = re.compile(r"/?[\w.-]+(?:/[\w.%=-]+)+")  # Lance writes paths without their first slash


class SystemFault(RuntimeError):
    """The system, not an input, is at fault. The message says what happened, where, and what to do."""


class ModelUnavailable(SystemFault):
    """A model that a stage needs cannot be loaded: files or a package are missing, or the device has no memory."""


class ServerUnreachable(SystemFault):
    """A server that a stage needs does not answer, or refuses this client."""


class TableUnreadable(SystemFault):
    """A file of a table is missing or damaged. Or it was removed while it was read: `internvid forget` removes older
    versions at once, so whoever reads one has to read the newest.
    """


class TooManyFailures(SystemFault):
    """So many units of a batch ended with one class of error that the stage, not the units, is probably at fault."""


def system_fault_of(error: BaseException, where: str | None = None) -> SystemFault | None:
    """Returns the fault of the system that the error, or what caused it, stands for; None for an input's own error.

    where: the folder that was written to, where the error need not name it.
    """
    cause: BaseException | None = error
    while cause is not None:
        if fault := _fault(cause, where):
            return fault
        cause = cause.__cause__
    return None


def _fault(error: BaseException, where: str | None) -> SystemFault | None:
    if isinstance(error, SystemFault):
        return error
    name = type(error).__name__
    if name == "ServerGone":  # of internvid.chat_server
        return ServerUnreachable(f"{error}. Start the server again, or set `url` to where it is")
    if isinstance(error, OSError):
        return _of_os_error(error, where)
    if name == "OutOfMemoryError":  # torch's: raised only once a single input does not fit
        return ModelUnavailable(
            f"the device is out of memory: {_first_line(error)}. Lower the model's batch, choose a smaller model, or "
            "set INTERNVID_DEVICE to another device"
        )
    if name == "UnknownFormat":  # of resources.lake.format
        return SystemFault(str(error))
    if name in ("OperationalError", "InterfaceError"):  # of SQLite or Postgres, directly or through SQLAlchemy
        return _of_database(error)
    if name in _CREDENTIAL_ERRORS or (name == "ClientError" and _CREDENTIALS_TEXT.search(str(error))):
        return _refused(error)
    if name == "DiskFull":  # of downloads
        return _no_room(str(error))
    return _of_damage(error)


@contextmanager
def raising_faults(where: str | None = None) -> Iterator[None]:
    """Raises the fault of the system that an error within stands for, in its place; other errors as they are.

    where: what was written to, for messages of errors that do not name it.
    """
    try:
        yield
    except Exception as error:
        fault = system_fault_of(error, where)
        if fault is None or fault is error:
            raise
        raise fault from error


def _of_database(error: BaseException) -> SystemFault | None:
    """Returns the fault of Dagster's storage, SQLite or Postgres. No password is in what either of them says."""
    where = "Dagster's storage (in .dagster under the lake, unless DAGSTER_HOME says otherwise)"
    text = str(error)
    if "database or disk is full" in text:
        return SystemFault(f"no room left for {where}: make room; the next run goes on by itself")
    if "disk I/O error" in text:  # also what SQLite says where its write-ahead log finds no room
        return SystemFault(f"no room left for {where}, or its disk fails: make room; the next run goes on by itself")
    if "readonly database" in text or "unable to open database" in text:
        return SystemFault(f"{where} cannot be written: make it writable, or set DAGSTER_HOME to another folder")
    if _POSTGRES_REFUSES_TEXT.search(text):
        return SystemFault(
            f"Dagster's Postgres refuses: {_first_line(error)}. Correct INTERNVID_POSTGRES_URL or PGPASSWORD"
        )
    if _POSTGRES_AWAY_TEXT.search(text):
        return ServerUnreachable(
            f"Dagster's Postgres does not answer: {_first_line(error)}. Start it, or correct INTERNVID_POSTGRES_URL; "
            "the next run goes on by itself"
        )
    return None


def _of_os_error(error: OSError, where: str | None) -> SystemFault | None:
    text = str(error)
    if error.errno in NO_ROOM or _NO_ROOM_TEXT.search(text):
        return _no_room(str(error.filename) if error.filename else where or text)
    if error.errno == errno.EROFS or _READ_ONLY_TEXT.search(text):
        place = error.filename or where or _first_line(error)
        return SystemFault(f"the disk is read-only: {place}. Make it writable, or choose another folder")
    if error.errno in OUT_OF_RESOURCES:
        return SystemFault(f"{_first_line(error)}: {OUT_OF_RESOURCES[error.errno]}")
    if isinstance(error, PermissionError) and error.filename and _is_ours(str(error.filename)):
        return SystemFault(f"no permission to write {error.filename}: let this user write there")
    if error.errno is None and "s3" in text.lower() and _CREDENTIALS_TEXT.search(text):
        return _refused(error)
    if error.errno is None and _UNREACHABLE_STORE_TEXT.search(text):
        return ServerUnreachable(f"the object store does not answer: {_first_line(error)}")
    return _of_damage(error)


def _of_damage(error: BaseException) -> SystemFault | None:
    """Returns the fault of a table of which a file, or the version that a snapshot named, is missing or damaged."""
    text = str(error)
    if snapshot := _NO_SNAPSHOT_TEXT.search(text):
        return SystemFault(
            f"the snapshot {snapshot[1]} was removed while it was read, as `internvid forget` does: do the same again, "
            "which takes a newer one"
        )
    if not _DAMAGED_TEXT.search(text):
        return _of_store(text)
    what = text.partition(", /")[0].removeprefix("External error: ").splitlines()[0][:300]
    return TableUnreadable(
        f"a table of the lake cannot be read: {what}. If that is so again, `internvid check` says what is lost, and "
        "`internvid check --repair` makes it again"
    )


def _of_store(text: str) -> SystemFault | None:
    """Returns the fault of an object store that answers with errors, or not to the end."""
    if not _STORE_FAILS_TEXT.search(text):
        return None
    what = text.partition(", /")[0].splitlines()[0][:300]
    return ServerUnreachable(f"the object store fails: {what}. Once it answers, the next run goes on by itself")


def _no_room(where: str) -> SystemFault:
    """where: a path, or a text that holds one."""
    path = _existing_folder(where)
    usage = shutil.disk_usage(path)
    return SystemFault(
        f"no room left on the disk of {path}: {usage.free / 2**20:,.0f} MiB of {usage.total / 2**20:,.0f} MiB free. "
        "Make room, or point --lake, INTERNVID_MEDIA or TMPDIR to a larger disk; the next run goes on by itself"
    )


def _existing_folder(where: str) -> Path:
    """Returns the folder on the fullest disk among those that the text names; without any the temporary folder.

    A text may also name files of the library's own source, which are not there.
    """
    folders = {Path(tempfile.gettempdir())}
    for text in _PATH_IN_TEXT.findall(where):
        path = Path(f"/{text.lstrip('/')}")
        while not path.is_dir():
            path = path.parent
        if len(path.parts) > 1:
            folders.add(path)
    return min(folders, key=lambda folder: shutil.disk_usage(folder).free)


def _refused(error: BaseException) -> SystemFault:
    return SystemFault(
        f"the object store refuses the credentials: {_first_line(error)}. Set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or INTERNVID_STORAGE_OPTIONS"
    )


def _is_ours(path: str) -> bool:
    """Whether the path is one that this software writes: a source that cannot be read is that source's own error."""
    return path.startswith(tempfile.gettempdir()) or ".lance/" in path


def _first_line(error: BaseException) -> str:
    return (str(error) or repr(error)).splitlines()[0][:300]
