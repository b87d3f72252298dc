"""Storage: what tables, their indexes and old versions, video files and published files take, measured in the lake.

What maintenance keeps is counted as it works: it writes every row once more into larger files, and the files before
stay for some days, or as long as a snapshot pins them. So live rows are counted twice, or as often as is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resources.corpus.estimate.rates import fitted
from resources.lake.vector_index import BYTES_PER_INDEXED_VECTOR, ROWS_WITHOUT_INDEX

if TYPE_CHECKING:
    from resources.lake.schema import Table
    from resources.lake.store import Lake

MIN_COPIES_KEPT = 1.0  # of each row's bytes, in files of old versions


@dataclass(frozen=True)
class Stored:
    """Estimated size of a table, in bytes. measured_rows: rows of the lake that it is reckoned from.

    index_bytes: of indexes on keys, batches, words and vectors; None where no index has rows yet. old_bytes: of files
    that only old versions use.
    """

    name: str
    group: str
    rows: int
    measured_rows: int
    bytes: int
    index_bytes: int | None
    old_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.bytes + (self.index_bytes or 0) + self.old_bytes


@dataclass(frozen=True)
class Storage:
    """Estimated size of the lake. video_bytes: of the video files. are_videos_kept: whether they are copied into the
    media store; else they stay where they lie, and are not counted. published_bytes: of export, statistics and report.
    """

    tables: tuple[Stored, ...]
    video_bytes: int
    are_videos_kept: bool
    published_bytes: int

    @property
    def total_bytes(self) -> int:
        kept = self.video_bytes if self.are_videos_kept else 0
        return sum(table.total_bytes for table in self.tables) + kept + self.published_bytes

    @property
    def bytes_by_group(self) -> dict[str, int]:
        """Size of the tables by asset group."""
        groups: dict[str, int] = {}
        for table in self.tables:
            groups[table.group] = groups.get(table.group, 0) + table.total_bytes
        return groups


@dataclass(frozen=True)
class Measured:
    """What a table has now. fragments: rows and bytes of each. old_bytes: of data files that its newest version does
    not use.

    index_bytes: of the indexes that have rows, by the column; each with the number of those rows.
    """

    fragments: list[tuple[int, int]]
    index_bytes: dict[str, tuple[int, int]]
    old_bytes: int

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.fragments)

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.fragments)

    def bytes_of(self, rows: int) -> float:
        """Returns the bytes of so many rows in one fragment. What a file takes beside its rows is in each of them."""
        counts, sizes = zip(*((count, size) for count, size in self.fragments if count), strict=True)
        return fitted(counts, sizes).of(rows, runs=1)


def stored(lake: Lake, table: Table, group: str, larger: float) -> Stored | None:
    """Estimates the size of a table that has `larger` times the rows; None for an empty table."""
    now = measured(lake, table)
    if not now.rows:
        return None
    rows = round(now.rows * larger)
    size = round(now.bytes_of(rows))
    of_row = [size / indexed for size, indexed in now.index_bytes.values()]
    of_row += [
        BYTES_PER_INDEXED_VECTOR
        for column in table.columns
        if column.is_searched and column.name not in now.index_bytes and rows >= ROWS_WITHOUT_INDEX
    ]
    copies = max(MIN_COPIES_KEPT, now.old_bytes / now.bytes)
    return Stored(
        table.name,
        group,
        rows,
        now.rows,
        size,
        round(sum(of_row) * rows) if of_row else None,
        round(size * copies),
    )


def measured(lake: Lake, table: Table) -> Measured:
    """Reads the sizes of the table from its newest manifest, and lists its data files for those of old versions."""
    dataset = lake.dataset(table.name)
    indexes = {
        index.field_names[0]: (index.total_size_bytes or 0, index.num_rows_indexed)
        for index in dataset.describe_indices()
        if index.num_rows_indexed
    }
    live = {Path(file.path).name for fragment in dataset.get_fragments() for file in fragment.data_files()}
    of_old = sum(size for name, size in _data_files(lake, table.name) if name not in live)
    return Measured(rows_and_bytes(lake, table.name), indexes, of_old)


def rows_and_bytes(lake: Lake, table: str) -> list[tuple[int, int]]:
    """Returns rows and bytes of each fragment of the table's newest version."""
    fragments = lake.dataset(table).get_fragments()
    files = [fragment.data_files() for fragment in fragments]
    # A manifest of an earlier version of Lance does not say how large a file is.
    is_known = all(file.file_size_bytes for of_fragment in files for file in of_fragment)
    on_disk = {} if is_known else dict(_data_files(lake, table))
    sizes = [
        sum(file.file_size_bytes or on_disk.get(Path(file.path).name, 0) for file in of_fragment)
        for of_fragment in files
    ]
    return [(fragment.count_rows(), size) for fragment, size in zip(fragments, sizes, strict=True)]


def _data_files(lake: Lake, table: str) -> Iterator[tuple[str, int]]:
    for file, size in lake.file(f"{table}.lance/data").files():
        yield file.name, size
