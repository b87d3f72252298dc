"""Dagster's records in Postgres: the storage that dagster.yaml names. It waits while Postgres restarts.

Dagster alone tries to connect for eleven seconds. Then whatever wanted to write ends: a run, and in the server of the
code location the thread that reports runs whose process has ended. A restart or a failover may take longer than that.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from typing import Any

import psycopg2
import psycopg2.extensions
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import Pool

MAX_OUTAGE_SECONDS = 300.0  # a failover takes one minute; a longer outage needs a person
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_TO_CONNECT = 10  # a machine that is gone answers nothing at all
DRIVER = "postgresql+psycopg2"  # the driver that Dagster's storage is written for; SQLAlchemy's default is another

# Postgres answers, and no waiting will make it accept the connection.
_REFUSAL = re.compile(r"FATAL: (?!.*(starting up|shutting down|recovery|too many|connection slots|terminating))")


class WaitingPostgresStorage(DagsterPostgresStorage):
    """Postgres as Dagster's storage, with a connection that waits for a Postgres that is away."""

    @classmethod
    def from_config_value(
        cls,
        inst_data: Any,  # what Dagster constructs it from
        config_value: Mapping[str, Any],
    ) -> WaitingPostgresStorage:
        return cls(postgres_url=with_driver(config_value["postgres_url"]), inst_data=inst_data)


class _Outage:
    """How long Postgres has been away, as the connections of this process see it."""

    def __init__(self) -> None:
        self._since: float | None = None

    def end(self) -> None:
        self._since = None

    def may_wait(self, error: psycopg2.OperationalError) -> bool:
        if self._since is None:
            self._since = time.monotonic()
            logging.getLogger(__name__).warning(
                "Dagster's Postgres does not answer (%s): waiting for it for up to %.0f minutes",
                str(error).splitlines()[0],
                MAX_OUTAGE_SECONDS / 60,
            )
        return time.monotonic() - self._since < MAX_OUTAGE_SECONDS


_outage = _Outage()


def connect_once(url: str) -> None:
    """Raises psycopg2.OperationalError where Postgres does not answer, or refuses."""
    dialect = make_url(with_driver(url)).get_dialect()()
    arguments, options = dialect.create_connect_args(make_url(with_driver(url)))
    psycopg2.connect(*arguments, **{"connect_timeout": SECONDS_TO_CONNECT, **options}).close()


def with_driver(url: str) -> str:
    """Returns the URL with the driver that Dagster's storage needs. The scheme may be postgres or postgresql."""
    return f"{DRIVER}://{url.partition('://')[2]}"


@event.listens_for(Engine, "do_connect")
def _connect(dialect: Any, _: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Connects; where Postgres is away, tries again until it is back or MAX_OUTAGE_SECONDS are over.

    Connections of other databases are made as usual.
    """
    if dialect.name != "postgresql":
        return None
    options.setdefault("connect_timeout", SECONDS_TO_CONNECT)
    while True:
        try:
            connection = dialect.connect(*arguments, **options)
        except psycopg2.OperationalError as error:
            if _REFUSAL.search(str(error)) or not _outage.may_wait(error):
                raise
            time.sleep(SECONDS_BETWEEN_TRIES)
        else:
            _outage.end()
            return connection


@event.listens_for(Pool, "connect")
def _mark_as_new(connection: Any, record: Any) -> None:
    record.info["is_new"] = True


@event.listens_for(Pool, "checkout")
def _require_alive(connection: Any, record: Any, _: Any) -> None:
    """Has a connection that was kept replaced where Postgres was restarted meanwhile: the webserver keeps some."""
    if record.info.pop("is_new", False) or not isinstance(connection, psycopg2.extensions.connection):
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except psycopg2.Error as error:
        raise DisconnectionError(str(error)) from error
