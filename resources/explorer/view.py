"""The lake at one moment, for pages: every table of a page is read at the version that it had when the page began.

Writers may go on meanwhile. A view is a `Lake`, so whatever reads a lake reads a view; it is never written to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
from pydantic import PrivateAttr

from resources.lake.paths import local_path
from resources.lake.schema import TABLES
from resources.lake.store import TABLES_OPENED_AT_A_TIME, Lake, Rows, tables_in

if TYPE_CHECKING:
    import duckdb
    import lance

Answer = TypeVar("Answer")

SECONDS_BETWEEN_CHECKS = 1.0  # whether tables have newer versions; in a bucket each check is a request a table
SECONDS_BETWEEN_CHECKS_IN_BUCKETS = 10.0
# Memory for indexes and the layout of files, of all tables together; Lance has such limits for each table.
INDEX_CACHE_BYTES = 512 << 20
METADATA_CACHE_BYTES = 256 << 20
MAX_QUERY_SECONDS = 5.0
QUERIES_AT_A_TIME = 4  # further ones wait for their turn; each may use all cores

_opening = threading.Lock()  # sessions of DuckDB are opened one after the other
_turns = threading.BoundedSemaphore(QUERIES_AT_A_TIME)


class LakeGone(RuntimeError):
    """There is no lake at its root: the folder was moved or removed, or the bucket cannot be reached."""


class TookTooLong(RuntimeError):
    """A query was stopped at its time limit."""


class LakeView(Lake):
    """The lake at the versions that its tables had at one moment."""

    _datasets: dict[str, lance.LanceDataset] = PrivateAttr(default_factory=dict)

    @property
    def versions(self) -> dict[str, int]:
        return {name: dataset.version for name, dataset in self._datasets.items()}

    def dataset(self, table: str, at: str | int | None = None) -> lance.LanceDataset:
        """The table as it was at this moment, or at a tag or version."""
        if at is None and table in self._datasets:
            return self._datasets[table]
        return super().dataset(table, at)

    def connect(self, *arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        """As `Lake.connect`; by one thread after the other."""
        with _opening:
            return super().connect(*arguments, **options)

    def query(
        self,
        sql: str,
        parameters: Mapping[str, object] | list | None = None,
        *,
        tables: Iterable[str] | None = None,
        at: str | Mapping[str, int] | None = None,
        only: Mapping[str, Rows] | None = None,
        seconds: float = MAX_QUERY_SECONDS,
    ) -> pa.Table:
        """As `Lake.query`. seconds: time limit. Raises TookTooLong."""
        named = tables_in(sql) if tables is None else tables
        with self.connect(named, at=at, only=only) as connection:
            return within(connection, lambda: connection.sql(sql, params=parameters).to_arrow_table(), seconds)


def within(connection: duckdb.DuckDBPyConnection, ask: Callable[[], Answer], seconds: float) -> Answer:
    """Returns what `ask` returns, which queries the connection. Raises TookTooLong at the time limit."""
    import duckdb

    if not _turns.acquire(timeout=seconds):
        raise TookTooLong(f"other queries kept this one waiting for {seconds:.0f} s")
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        return ask()
    except duckdb.InterruptException as error:
        raise TookTooLong(f"the query was stopped after {seconds:.0f} s: ask for less") from error
    finally:
        timer.cancel()
        _turns.release()


class LakeViews:
    """Gives each page the newest view. Tables are opened once, and again only when they have a newer version."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._view: LakeView | None = None
        self._checked_at = float("-inf")
        self._session: lance.Session | None = None
        is_remote = local_path(lake.root) is None
        self._seconds_between_checks = SECONDS_BETWEEN_CHECKS_IN_BUCKETS if is_remote else SECONDS_BETWEEN_CHECKS

    def newest(self) -> LakeView:
        """Returns the lake as it is now, or was a second ago (in a bucket ten seconds). Raises LakeGone."""
        with self._lock:
            if self._view is None or time.monotonic() - self._checked_at > self._seconds_between_checks:
                self._view = self._checked()
                self._checked_at = time.monotonic()
            return self._view

    def _checked(self) -> LakeView:
        before = {} if self._view is None else self._view._datasets

        def newest(table: str) -> lance.LanceDataset:
            dataset = before.get(table)
            if dataset is None:
                return self._opened(table, None)
            latest = dataset.latest_version
            return dataset if latest == dataset.version else self._opened(table, latest)

        try:
            with ThreadPoolExecutor(TABLES_OPENED_AT_A_TIME) as threads:
                datasets = dict(zip(TABLES, threads.map(newest, TABLES), strict=True))
        except (ValueError, OSError) as error:
            self._view = None  # a lake that comes back is opened again
            raise LakeGone(f"there is no lake at {self._lake.root}, or not all of it") from error
        if self._view is not None and all(datasets[name] is before.get(name) for name in datasets):
            return self._view
        view = LakeView(root=self._lake.root, storage_options=self._lake.storage_options)
        view._datasets = datasets
        return view

    def _opened(self, table: str, version: int | None) -> lance.LanceDataset:
        import lance

        if self._session is None:
            self._session = lance.Session(
                index_cache_size_bytes=INDEX_CACHE_BYTES, metadata_cache_size_bytes=METADATA_CACHE_BYTES
            )
        options = self._lake.lance_options or None
        return lance.dataset(self._lake.uri(table), version=version, storage_options=options, session=self._session)
