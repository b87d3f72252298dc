"""The segments of an index, and how rows are added to it.

Lance keeps an index as segments: new rows become a further one, at the cost of these rows alone. A search visits all
of them, so small segments are merged with older ones on the way. Rows are so rewritten a few times in all, and the
number of segments grows with the logarithm of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lance
    from lance.lance.indices import IndexDescription

# New segments are merged with an older one up to so many times their size.
MERGED_RATIO = 2


def rows_of_segments(dataset: lance.LanceDataset, index: IndexDescription) -> list[int]:
    """Returns the live rows of each segment, in the order in which they were added. Read from the manifest alone."""
    rows = {fragment.fragment_id: fragment.count_rows() for fragment in dataset.get_fragments()}
    return [sum(rows.get(number, 0) for number in segment.fragment_ids) for segment in index.segments]


def fragments_without(dataset: lance.LanceDataset, index: IndexDescription) -> list[lance.LanceFragment]:
    """Returns the fragments with rows that the index lacks: a search reads each of them."""
    covered = {number for segment in index.segments for number in segment.fragment_ids}
    return [fragment for fragment in dataset.get_fragments() if fragment.fragment_id not in covered]


def segments_to_merge(
    segments: Sequence[int], new_rows: int, *, small_rows: int = 0, max_rows: int | None = None
) -> int:
    """Returns how many of the last segments the new rows are merged with.

    segments: rows of each, oldest first. small_rows: segments of at most so many rows are always merged. max_rows:
    larger ones never are.
    """
    merged_rows, merged = new_rows, 0
    for rows in reversed(segments):
        if rows > max(small_rows, MERGED_RATIO * merged_rows) or (max_rows is not None and rows > max_rows):
            break
        merged_rows += rows
        merged += 1
    return merged
