"""The moments before and after each commit: of a table (rows, a deletion, an index, a compaction, a tag), or of a file
that appears under its name. Tests end a run there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any


@contextmanager
def at_commits(reached: Callable[[str], None]) -> Iterator[None]:
    """Calls `reached` with the name of each moment before and after a commit of this process, during the block."""
    from lance.dataset import DatasetOptimizer, LanceDataset, Tags

    from resources.lake.paths import StoragePath

    undo: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, method: str, by: Any) -> None:
        undo.append((owner, method, getattr(owner, method)))
        setattr(owner, method, by)

    def around(owner: Any, method: str, name_of: Callable[..., str]) -> None:
        plain = getattr(owner, method)

        @wraps(plain)
        def watched(*arguments: Any, **options: Any) -> Any:
            name = f"{method} {name_of(*arguments, **options)}"
            reached(f"before {name}")
            result = plain(*arguments, **options)
            reached(f"after {name}")
            return result

        replace(owner, method, watched)

    merge_insert = LanceDataset.merge_insert

    def watched_merge(dataset: Any, *arguments: Any, **options: Any) -> Any:
        return _Merge(merge_insert(dataset, *arguments, **options), _table(dataset), reached)

    replace(LanceDataset, "merge_insert", watched_merge)
    for method in ("delete", "create_scalar_index", "create_index", "drop_index", "cleanup_old_versions"):
        around(LanceDataset, method, lambda dataset, *_, **__: _table(dataset))
    for method in ("compact_files", "optimize_indices"):
        around(DatasetOptimizer, method, lambda optimizer, **_: _table(optimizer._dataset))
    for method in ("create", "delete"):
        around(Tags, method, lambda *_, **__: "a tag")
    for method in ("take", "put", "put_folder", "remove"):
        around(StoragePath, method, lambda path, *_, **__: _kind(path.path))
    around(os, "replace", lambda _, target: _kind(str(target)))
    try:
        yield
    finally:
        for owner, method, plain in reversed(undo):
            setattr(owner, method, plain)


class _Merge:
    """A builder of a merge, whose execution is a commit."""

    def __init__(self, builder: Any, table: str, reached: Callable[[str], None]) -> None:
        self._builder, self._table, self._reached = builder, table, reached
        self._does = ""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._builder, name)

        def called(*arguments: Any, **options: Any) -> Any:
            if name == "execute":
                self._reached(f"before merge {self._table}{self._does}")
            result = method(*arguments, **options)
            if name == "execute":
                self._reached(f"after merge {self._table}{self._does}")
                return result
            if name == "when_matched_delete":
                self._does = " (deletion)"
            return self

        return called


def _table(dataset: Any) -> str:
    return dataset.uri.rstrip("/").rpartition("/")[2]


def _kind(path: str) -> str:
    """The file's name without what is different in each lake."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8,}|\d+", "#", Path(path).name)
