"""The index of vectors: how it is built, when it is trained again, and how a search asks it.

All of it stands in one place because the numbers belong together. Only functions over one open table belong here;
`resources.lake.maintenance` says when they run, and `resources.lake.search` what is searched for.

The first segment of an index holds the rows of its training, and stays as it is: it tells how much of the table is
newer. New rows are assigned to its partitions and added as further segments (`resources.lake.index_segments`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resources.lake import index_segments
from resources.lake.schema import VECTOR, Table

if TYPE_CHECKING:
    import lance
    import numpy as np

# Without an index a search reads every vector: 50,000 are 150 MB, some 50 ms.
ROWS_WITHOUT_INDEX = 50_000

# RaBitQ (Gao and Long 2024) keeps a rotated vector with 3 bits a dimension: 300 bytes instead of 3072, and no codebook
# that could fit the vectors of one model and not those of the next. Measured by recall@10 and milliseconds of the
# processor a query by text, over a million vectors in clusters whose noise has no direction, which is the hardest case:
# 0.99 and 17 with 40 vectors compared exactly, 1.00 and 20 with 100 (297 MB, built in 101 s of the processor). With
# 1 bit 0.83 and 20 with 100 compared, 0.97 and 27 with 400 (106 MB, 67 s). IVF_SQ took 63 for 0.96 (735 MB, 72 s).
BYTES_PER_INDEXED_VECTOR = 300
INDEX: dict[str, Any] = {"index_type": "IVF_RQ", "num_bits": 3, "metric": "cosine"}

# Beyond 17 million rows partitions grow rather than their number, which the training's time grows with twice over.
ROWS_PER_PARTITION = 4096
MAX_PARTITIONS = 4096
# Partitions are trained on a random sample of at most so many vectors: 800 MB.
TRAINING_VECTORS = 262_144
MAX_SAMPLE_PER_PARTITION = 256

PARTITIONS_PROBED = 40
# The quantizer only tells which vectors may be nearest: at least so many of the best are compared exactly.
VECTORS_COMPARED = 100
MIN_COMPARED_PER_RESULT = 2


def index_vectors(dataset: lance.LanceDataset, table: Table, *, from_rows: int = ROWS_WITHOUT_INDEX) -> None:
    """Indexes the table's searched vectors, or adds the rows that their index lacks. Without such rows nothing changes.

    from_rows: lower bound on the rows of a table with an index.
    """
    rows = dataset.count_rows()
    for column in (column.name for column in table.columns if column.is_searched):
        segments = rows_of_segments(dataset, column)
        # Vectors of another model are distributed differently, and a table that has doubled wants more partitions.
        outdated = 2 * sum(segments[:1]) < rows
        if outdated and rows >= from_rows:
            _train(dataset, column)
        elif segments and sum(segments) < rows:
            merged = index_segments.segments_to_merge(segments[1:], rows - sum(segments))
            dataset.optimize.optimize_indices(index_names=[_name(column)], num_indices_to_merge=merged)


def drop_vector_indexes(dataset: lance.LanceDataset) -> None:
    """Removes every index of vectors, also of columns that are no longer searched."""
    for index in dataset.describe_indices():
        if all(dataset.schema.field(column).type == VECTOR for column in index.field_names):
            dataset.drop_index(index.name)


def nearest(column: str, vector: np.ndarray, limit: int) -> dict[str, Any]:
    """Returns what Lance needs to find the `limit` rows nearest to the vector, with or without an index."""
    return {
        "column": column,
        "q": vector,
        "k": limit,
        "metric": INDEX["metric"],
        "nprobes": PARTITIONS_PROBED,
        "refine_factor": max(MIN_COMPARED_PER_RESULT, -(-VECTORS_COMPARED // limit)),
    }


def rows_of_segments(dataset: lance.LanceDataset, column: str) -> list[int]:
    """Returns the live rows of each segment of the column's index, in the order in which they were added.

    Empty without an index, and for an index of another type, as earlier versions of this software made it. Read from
    the table's manifest alone.
    """
    for index in dataset.describe_indices():
        if index.field_names == [column] and index.index_type == INDEX["index_type"]:
            return index_segments.rows_of_segments(dataset, index)
    return []


def _train(dataset: lance.LanceDataset, column: str) -> None:
    rows = dataset.count_rows()
    rows_per_partition = max(ROWS_PER_PARTITION, -(-rows // MAX_PARTITIONS))
    partitions = max(1, rows // rows_per_partition)
    dataset.create_index(
        column,
        **INDEX,
        name=_name(column),
        target_partition_size=rows_per_partition,
        sample_rate=min(MAX_SAMPLE_PER_PARTITION, TRAINING_VECTORS // partitions),
        replace=True,
    )


def _name(column: str) -> str:
    return f"{column}_idx"
