"""Keeps a Lance table fast: its indexes, compaction, and the removal of old versions.

Only functions over one open table belong here; `resources.lake.store` says which tables there are and where, and
`resources.lake.vector_index` how vectors are indexed. A change may lose a race against a writer (the writer never
does): then it is tried again on the newest version. Where nothing is new, no version is written.

Two do this work. Writers do the small part of it as they go (`tidy`), since what they have just written costs most:
reading a key takes 1.3 ms more for each fragment that the index lacks, 1.3 s after a thousand commits. Every night
`maintain` does the rest.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from resources.lake.index_segments import fragments_without, rows_of_segments, segments_to_merge
from resources.lake.schema import (
    ANNOTATIONS,
    ATTEMPTS,
    CLIP_CAPTIONS,
    COPY_KEYS,
    DOWNLOADS,
    DUPLICATES,
    RAW_VIDEOS,
    SNAPSHOT_CHANGES,
    SOURCE_CHECKS,
    SOURCES,
    SUBSETS,
    Table,
)
from resources.lake.vector_index import index_vectors

if TYPE_CHECKING:
    import lance

# A fragment is at most so large: frames of seven million videos, 84 TB with their JPEGs, have some 5,000. By rows alone
# (Lance's default, 1 Mi) it would be 30 GB.
MAX_FRAGMENT_BYTES = 16 * 2**30
MAX_FRAGMENT_ROWS = 1024 * 1024
# Fragments smaller than this are always merged: every maintenance run can rewrite one. A larger one is merged only with
# newer ones that together have at least its size divided by MERGED_RATIO. So what is rewritten follows what is new: a
# row is rewritten once each time that its fragment grows by half.
SMALL_FRAGMENT_BYTES = 512 * 2**20
MERGED_RATIO = 2
MAX_DELETED_SHARE = 0.1  # more deleted rows are removed from a fragment's files
MIN_FRAGMENT_ROWS = 4096
COMPACTION_BATCH_BYTES = 16 * 2**20

# Keys to a page of the key's index. An upsert reads the pages that its keys lie on, and keys of clips, beginning with a
# hash, lie apart: 5,000 new clips among 10 million take 100 ms at 4096, Lance's default, 60 at 1024 and 40 at 512. But
# building the index holds some 0.5, 1.4 and 3.6 GB per 10 million keys.
KEYS_PER_PAGE = 1024

# Columns by which one video is looked for when somebody asks about it: by `why` and `forget`, seldom. While a table is
# small they are scanned, since each index would cost every lake its time and files; of two million sources a scan takes
# a second and 1 GB.
ASKED_BY_NAME = {
    SOURCES.name: ("site_key", "channel", "channel_id"),
    DOWNLOADS.name: ("page_url", "site_key", "channel", "channel_id", "channel_url", "sha256"),
    RAW_VIDEOS.name: ("source_id", "path"),
    SOURCE_CHECKS.name: ("source_id",),
    ANNOTATIONS.name: ("source_id",),
    SUBSETS.name: ("video_id",),
}
MIN_ROWS_TO_INDEX_NAMES = 100_000

# Old versions stay so long after the next one came: a reader that opened one may go on, and a mistake can be looked at.
KEEP_VERSIONS_FOR = timedelta(days=7)

# A segment of an index is small up to so many rows: every maintenance run can merge it.
SMALL_SEGMENT_ROWS = 1_000_000

# A writer tidies a table when its index lacks so many fragments. It leaves to the night what is larger than this: the
# writer waits for some 100 ms.
FRAGMENTS_PER_TIDY = 16
MAX_TIDIED_BYTES = 16 * 2**20
MAX_TIDIED_ROWS = 100_000

MARGIN = timedelta(minutes=1)
TRIES = 30
LOST_EVERY_RACE = "Too many concurrent writers"  # what Lance says when it gives up, after 30 s


@dataclass(frozen=True)
class Maintenance:
    """Result of maintenance of one table. bytes_removed: bytes of files that only removed versions used."""

    fragments_before: int
    fragments_after: int
    versions_removed: int
    bytes_removed: int


IndexKind = Literal["BTREE", "BITMAP", "INVERTED"]


def index_kinds(table: Table, *, rows: int = 0) -> dict[str, IndexKind]:
    """Column -> kind of Lance index: upserts find rows by key, reads a batch, search finds words.

    In attempts, forgetting finds what names a video, and what is not about videos. The others are read by the search
    for copies, and in a table of many rows by who asks for a name.
    """
    kinds: dict[str, IndexKind] = {table.key: "BTREE"}
    if table.partition is not None:
        kinds[table.partition] = "BITMAP"
    if table.name == CLIP_CAPTIONS.name:
        kinds["caption_terms"] = "INVERTED"
    if table.name == ATTEMPTS.name:
        kinds |= {"stage": "BITMAP", "related_key": "BTREE"}
    if table.name == DUPLICATES.name:
        kinds |= {"video_id": "BTREE", "other_video_id": "BTREE"}
    if table.name == RAW_VIDEOS.name:
        kinds["packets_digest"] = "BTREE"
    if table.name == COPY_KEYS.name:
        kinds["copy_key"] = "BTREE"
    if table.name == SNAPSHOT_CHANGES.name:
        kinds["snapshot"] = "BITMAP"
    if rows >= MIN_ROWS_TO_INDEX_NAMES:
        kinds |= dict.fromkeys(ASKED_BY_NAME.get(table.name, ()), "BTREE")
    return kinds


def add_missing_columns(open_newest: Callable[[], lance.LanceDataset], table: Table) -> None:
    """Adds the columns that a table made by an earlier version of this software lacks; null in the rows it has."""

    def add(dataset: lance.LanceDataset) -> None:
        existing = set(dataset.schema.names)
        missing = [field for field in table.arrow if field.name not in existing]
        if missing:
            dataset.add_columns(pa.schema(missing))

    retried(open_newest, add)


def create_missing_indexes(
    open_newest: Callable[[], lance.LanceDataset], table: Table, *, of_names: bool = False
) -> None:
    """Creates the missing indexes of `index_kinds`, on an empty table too. of_names: of a large table also the others;
    two million rows take seconds.
    """

    def create(dataset: lance.LanceDataset) -> None:
        present = {name for index in dataset.describe_indices() for name in index.field_names}
        for column, kind in index_kinds(table, rows=dataset.count_rows() if of_names else 0).items():
            if column not in present:
                build_index(dataset, column, kind)

    retried(open_newest, create)


def build_index(dataset: lance.LanceDataset, column: str, kind: IndexKind) -> None:
    """Builds the column's index over all rows, and replaces an existing one."""
    from lance.indices import IndexConfig

    by_key = IndexConfig("btree", {"zone_size": KEYS_PER_PAGE})
    if kind == "INVERTED":
        # Stop words too: "to be" is looked for. Terms of scripts without spaces are words already.
        dataset.create_scalar_index(column, kind, base_tokenizer="simple", remove_stop_words=False, replace=True)
    else:
        dataset.create_scalar_index(column, by_key if kind == "BTREE" else kind, replace=True)


def index_new_rows(
    dataset: lance.LanceDataset, table: Table, *, small_rows: int = SMALL_SEGMENT_ROWS, max_rows: int | None = None
) -> None:
    """Adds to the indexes of `index_kinds` the rows that they lack, and merges small segments. Else nothing changes.

    small_rows, max_rows: as `segments_to_merge` has them.
    """
    behind: dict[int, list[str]] = defaultdict(list)
    kinds = index_kinds(table, rows=dataset.count_rows())
    for index in dataset.describe_indices():
        if kinds.keys().isdisjoint(index.field_names):
            continue
        new_rows = sum(fragment.count_rows() for fragment in fragments_without(dataset, index))
        segments = rows_of_segments(dataset, index)
        merged = segments_to_merge(segments, new_rows, small_rows=small_rows, max_rows=max_rows)
        if new_rows or merged > 1:
            behind[merged].append(index.name)
    for merged, names in behind.items():
        dataset.optimize.optimize_indices(index_names=names, num_indices_to_merge=merged)


def tidy(dataset: lance.LanceDataset, open_newest: Callable[[], lance.LanceDataset], table: Table) -> None:
    """Indexes and compacts what is new in the table, if that is enough. What it costs follows what is new.

    dataset: the table as the writer has just left it.
    """
    by_key = next((index for index in dataset.describe_indices() if index.field_names == [table.key]), None)
    if by_key is None or len(fragments_without(dataset, by_key)) < FRAGMENTS_PER_TIDY:
        return
    try:
        index_new_rows(open_newest(), table, small_rows=0, max_rows=MAX_TIDIED_ROWS)
        compact(open_newest(), small_bytes=0, max_bytes=MAX_TIDIED_BYTES)
    except OSError as error:
        if not _is_lost_race(error):  # else another writer is at it, or will be
            raise


def maintain(
    open_newest: Callable[[], lance.LanceDataset], table: Table, *, keep_versions_for: timedelta
) -> Maintenance:
    """Compacts the table, indexes new rows, and removes old versions without a tag.

    open_newest: opens the table at its newest version; called again after a lost race.
    """
    before = len(open_newest().get_fragments())
    create_missing_indexes(open_newest, table, of_names=True)
    # Indexes first: Lance does not compact a fragment that an index covers together with one that it does not.
    retried(open_newest, partial(index_new_rows, table=table))
    retried(open_newest, partial(index_vectors, table=table))
    retried(open_newest, compact)
    newest = open_newest()
    # Never delete_unverified: it removes files that a running writer has written and not yet committed.
    removed = newest.cleanup_old_versions(_age_to_keep(newest, keep_versions_for), error_if_tagged_old_versions=False)
    return Maintenance(before, len(newest.get_fragments()), removed.old_versions, removed.bytes_removed)


def _age_to_keep(dataset: lance.LanceDataset, keep_versions_for: timedelta) -> timedelta:
    """Returns the age of the version that was the newest so long ago: readers may have opened it ever since.

    A version counts from when the next one came. Lance counts from when it was made: of a table that nothing was
    written to for a month, it would remove what everybody read until a minute ago.
    """
    now = datetime.now()  # Lance gives times of this machine, without a zone
    made = [at for version in dataset.versions() if isinstance(at := version["timestamp"], datetime)]
    before = [at for at in made if at <= now - keep_versions_for]
    if not before:
        return keep_versions_for
    return now - max(before) + min(keep_versions_for, MARGIN)  # Lance looks at the clock later


def compact(
    dataset: lance.LanceDataset,
    *,
    every_deletion: bool = False,
    small_bytes: int = SMALL_FRAGMENT_BYTES,
    max_bytes: int | None = None,
) -> None:
    """Compacts the table. every_deletion: also rewrites fragments with few deleted rows.

    small_bytes: fragments that are smaller are always merged. max_bytes: larger ones stay as they are.
    """
    fragments = dataset.get_fragments()
    size = sum(_file_bytes(fragment) for fragment in fragments)
    row_bytes = max(1, size // max(1, sum(fragment.physical_rows for fragment in fragments)))
    max_deleted_share = 0.0 if every_deletion else MAX_DELETED_SHARE
    excluded = [
        group[0].fragment_id
        for group in _merged_together(fragments, small_bytes)
        if len(group) == 1 and group[0].num_deletions <= max_deleted_share * group[0].physical_rows
    ]
    if max_bytes is not None:
        excluded += [fragment.fragment_id for fragment in fragments if _file_bytes(fragment) > max_bytes]
    dataset.optimize.compact_files(
        target_rows_per_fragment=_clamp(MAX_FRAGMENT_BYTES // row_bytes, MIN_FRAGMENT_ROWS, MAX_FRAGMENT_ROWS),
        batch_size=_clamp(COMPACTION_BATCH_BYTES // row_bytes, 64, 8192),
        materialize_deletions_threshold=max_deleted_share,
        excluded_fragment_ids=excluded,
    )


def _merged_together(fragments: list[lance.LanceFragment], small_bytes: int) -> list[list[lance.LanceFragment]]:
    """Returns the fragments, which are in order of age, in groups of those that are worth merging, newest first."""
    groups: list[list[lance.LanceFragment]] = []
    for fragment in reversed(fragments):
        size = _file_bytes(fragment)
        if groups and (size < small_bytes or size <= MERGED_RATIO * sum(map(_file_bytes, groups[-1]))):
            groups[-1].append(fragment)
        else:
            groups.append([fragment])
    return groups


def _file_bytes(fragment: lance.LanceFragment) -> int:
    return sum(file.file_size_bytes or 0 for file in fragment.metadata.files)


def retried(open_newest: Callable[[], lance.LanceDataset], change: Callable[[lance.LanceDataset], None]) -> None:
    """Runs `change` on the newest version, and again when a writer committed first, up to TRIES times."""
    for attempt in range(TRIES):
        try:
            return change(open_newest())
        except OSError as error:
            if not _is_lost_race(error) or attempt == TRIES - 1:
                raise
        time.sleep(random.uniform(0.5, 1.0) * min(2.0, 0.05 * 2**attempt))


def _is_lost_race(error: OSError) -> bool:
    # Creating an index raises CommitConflictError, which has a flag for this; compaction a bare OSError.
    return "Retryable commit conflict" in str(error) or LOST_EVERY_RACE in str(error)


def _clamp(value: int, lower: int, upper: int) -> int:
    return max(lower, min(upper, value))
