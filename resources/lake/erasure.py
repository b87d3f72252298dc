"""Erases rows that were deleted from a Lance table; a delete alone leaves them in the files.

A delete only marks rows: fragments, indexes and old versions still contain them. Only functions over one table belong
here; `resources.corpus.forgetting.forgetting` decides what is deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, cast

from resources.lake.maintenance import build_index, compact, index_kinds, retried
from resources.lake.schema import Table
from resources.lake.vector_index import drop_vector_indexes, index_vectors

if TYPE_CHECKING:
    import lance


def rewrite_without_deleted(open_newest: Callable[[], lance.LanceDataset], table: Table) -> None:
    """Rewrites fragments with deleted rows, and rebuilds the indexes. Older versions still contain them."""
    if not _has_had_rows(open_newest()):
        return
    retried(open_newest, partial(compact, every_deletion=True))
    for column, kind in index_kinds(table, rows=open_newest().count_rows()).items():
        retried(open_newest, partial(build_index, column=column, kind=kind))
    retried(open_newest, drop_vector_indexes)
    retried(open_newest, partial(index_vectors, table=table))


def remove_older_versions(open_newest: Callable[[], lance.LanceDataset], *, also_unfinished: bool = False) -> int:
    """Removes every version that is older than the newest and has no tag.

    also_unfinished: also removes files of writers that have not committed; only where no process writes.
    Readers and writers of an older version fail. Returns the number of bytes removed.
    """
    if not _has_had_rows(open_newest()):
        return 0
    removed = open_newest().cleanup_old_versions(
        timedelta(0), error_if_tagged_old_versions=False, delete_unverified=also_unfinished
    )
    return removed.bytes_removed


def _has_had_rows(dataset: lance.LanceDataset) -> bool:
    return any(int(version["metadata"]["total_data_files"]) for version in dataset.versions())


def times_of_tags(dataset: lance.LanceDataset) -> dict[str, datetime]:
    """Tag -> when the version that it pins was written; without the tags of versions that have no rows."""
    # Lance gives times without a zone, in the machine's.
    written = {
        version["version"]: cast(datetime, version["timestamp"]).astimezone(UTC)
        for version in dataset.versions()
        if int(version["metadata"]["total_data_files"])
    }
    return {name: written[tag["version"]] for name, tag in dataset.tags.list().items() if tag["version"] in written}
