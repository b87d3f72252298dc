"""Removing for good what was deleted from a Lance table: deleting alone leaves it in the files.

A delete marks rows in fragments that keep them, indexes keep the keys and words they were built over, and old versions
keep all of it. Only functions over one table belong here; what is deleted is `resources.forgetting`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, cast

from resources.maintenance import build_index, compact, index_kinds, index_vectors, retried
from resources.schema import VECTOR, Table

if TYPE_CHECKING:
    import lance


def erase_deleted(open_newest: Callable[[], lance.LanceDataset], table: Table, *, also_unfinished: bool = False) -> int:
    """Rewrites what holds deleted rows, builds the indexes anew, and removes every older version without a tag.

    also_unfinished: removes the files of writers that have not committed, too: only where no process writes.
    A reader of an older version, and a writer that began on one, fails. Returns the bytes removed.
    """
    if not any(int(version["metadata"]["total_data_files"]) for version in open_newest().versions()):
        return 0  # there was never a row
    retried(open_newest, partial(compact, every_deletion=True))
    for column, kind in index_kinds(table).items():
        retried(open_newest, partial(build_index, column=column, kind=kind))
    retried(open_newest, lambda dataset: _build_vector_index(dataset, table))
    removed = open_newest().cleanup_old_versions(
        timedelta(0), error_if_tagged_old_versions=False, delete_unverified=also_unfinished
    )
    return removed.bytes_removed


def times_of_tags(dataset: lance.LanceDataset) -> dict[str, datetime]:
    """Tag -> when the version that it pins was written."""
    # Lance gives times without a zone, in the machine's.
    written = {one["version"]: cast(datetime, one["timestamp"]).astimezone(UTC) for one in dataset.versions()}
    return {name: written[tag["version"]] for name, tag in dataset.tags.list().items()}


def _build_vector_index(dataset: lance.LanceDataset, table: Table) -> None:
    indexed = {index.name for index in dataset.describe_indices()}
    for name in (f"{column.name}_idx" for column in table.columns if column.type == VECTOR):
        if name in indexed:
            dataset.drop_index(name)
    index_vectors(dataset, table)
