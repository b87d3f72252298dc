"""Finds clips by what is said in them: an index of words over the transcripts of a view, in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from internvid.text.search_terms import indexed_terms
from resources.explorer.view import LakeView
from resources.lake.search import words_query
from resources.lake.statements import statement

if TYPE_CHECKING:
    import lance

ROWS_PER_BATCH = 10_000
TERMS = "terms"
SPOKEN = pa.schema([("clip_id", pa.string()), (TERMS, pa.string())])


class SpokenWords:
    """The words that are said in the clips of a view."""

    def __init__(self, view: LakeView, folder: Path) -> None:
        """Reads all transcripts, batch by batch. folder: exists as long as this does."""
        import lance

        with view.connect(["transcripts"]) as connection:
            rows = connection.sql(statement("explorer/spoken")).to_arrow_reader(ROWS_PER_BATCH)
            path = str(folder / "spoken.lance")
            dataset = lance.write_dataset(pa.RecordBatchReader.from_batches(SPOKEN, _with_terms(rows)), path, SPOKEN)
        if dataset.count_rows():
            dataset.create_scalar_index(TERMS, "INVERTED", base_tokenizer="simple", remove_stop_words=False)
            dataset.create_scalar_index("clip_id", "BTREE")
        self._dataset: lance.LanceDataset = dataset
        self.clips = dataset.count_rows()

    def ranked(self, text: str, limit: int, only: Sequence[str] | None = None) -> list[str]:
        """Returns the ids of the clips whose speech fits the words best, best first.

        only: of these clips; None: all.
        """
        if not self.clips:
            return []
        return ranked_by_words(self._dataset, text, TERMS, limit, only)


def ranked_by_words(
    dataset: lance.LanceDataset, text: str, column: str, limit: int, only: Sequence[str] | None = None
) -> list[str]:
    """Returns the clip_ids of the rows whose terms fit the words best. only: of these clips; None: all."""
    import pyarrow.compute as pc

    chosen = None if only is None else pc.field("clip_id").isin(pa.array(only, pa.string()))
    rows = dataset.scanner(
        columns=["clip_id", "_score"],
        full_text_query=words_query(text, column),
        limit=limit,
        filter=chosen,
        prefilter=True,
    ).to_table()
    return rows["clip_id"].to_pylist()


def _with_terms(rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        terms = [indexed_terms(text) for text in batch.column("spoken").to_pylist()]
        yield pa.RecordBatch.from_arrays([batch.column("clip_id"), pa.array(terms, pa.string())], schema=SPOKEN)
