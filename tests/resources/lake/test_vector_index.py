"""The index of vectors: what it finds, how it grows, and when it is trained again."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from lake_rows import by_hand, embed_clips, nearest, tidy, vectors

from resources.lake.erasure import rewrite_without_deleted
from resources.lake.schema import TABLES, VECTOR_SIZE
from resources.lake.search import search_vectors
from resources.lake.store import Lake
from resources.lake.vector_index import ROWS_PER_PARTITION, index_vectors, rows_of_segments

ROOT = Path(__file__).resolve().parents[3]
TABLE = TABLES["clip_embeddings"]


@pytest.fixture
def lake(tmp_path: Path, new_lake) -> Lake:
    return new_lake(tmp_path / "lake")


def _index(lake: Lake, table: str = "clip_embeddings", *, from_rows: int = 500) -> None:
    index_vectors(lake.dataset(table), TABLES[table], from_rows=from_rows)


def _segments(lake: Lake) -> list[int]:
    return rows_of_segments(lake.dataset("clip_embeddings"), "vector")


def _add(lake: Lake, first: int, made: np.ndarray, *, table: str = "clip_embeddings") -> None:
    """Adds or replaces the vectors of the clips from number `first` on."""
    ids = [f"c{number:06d}" for number in range(first, first + len(made))]
    column = pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), VECTOR_SIZE)
    made_by = {"ingest_batch": ["b1"] * len(ids), "provenance": [str(made[0, 0])] * len(ids)}
    lake.upsert(table, pa.table({"clip_id": ids, "vector": column, **made_by}))


def _nearest(lake: Lake, query: np.ndarray, limit: int) -> list[str]:
    return search_vectors(lake.dataset("clip_embeddings"), query, limit)["clip_id"].to_pylist()


def test_an_index_of_several_partitions_finds_nearly_all_of_the_nearest(lake):
    """Vectors without any direction or cluster: nothing is harder for an index."""
    rows = 3 * ROWS_PER_PARTITION
    made = vectors(rows, seed=1, dimensions=VECTOR_SIZE)
    _add(lake, 0, made)
    _index(lake)
    assert _segments(lake) == [rows]
    queries = vectors(20, seed=2, dimensions=VECTOR_SIZE)
    for limit in (10, 100):
        recalled = 0
        for query in queries:
            truth = {f"c{number:06d}" for number in np.argsort(-(made @ query))[:10]}
            recalled += len(truth & set(_nearest(lake, query, limit)[:10]))
        assert recalled / (10 * len(queries)) >= 0.95, f"of the first 10 of {limit}"


def test_rows_written_after_the_index_are_found_before_and_after_they_are_added_to_it(lake):
    made = vectors(800, seed=1)
    embed_clips(lake, made[:600], "model 1")
    _index(lake)
    embed_clips(lake, made, "model 1")
    for segments in ([600], [600, 200]):
        assert _segments(lake) == segments
        for number in (3, 700):
            assert nearest(lake, made[number]) == by_hand(made, made[number])
        tidy(lake, "clip_embeddings")


def test_many_additions_leave_few_segments_and_lose_no_row(lake):
    made = vectors(1000, seed=1)
    _add(lake, 0, made[:600])
    _index(lake)
    for first in range(600, 1000, 50):
        _add(lake, first, made[first : first + 50])
        tidy(lake, "clip_embeddings")
    segments = _segments(lake)
    assert segments[0] == 600, "the rows of the training stay a segment of their own"
    assert sum(segments) == 1000
    assert len(segments) <= 4
    assert [_nearest(lake, made[number], 1) for number in range(590, 1000, 41)] == [
        [f"c{number:06d}"] for number in range(590, 1000, 41)
    ]


def test_the_index_is_trained_again_once_most_rows_are_newer_and_not_before(lake):
    _add(lake, 0, vectors(600, seed=1))
    _index(lake)
    _add(lake, 600, vectors(500, seed=2))
    _index(lake)
    assert _segments(lake) == [600, 500]
    _add(lake, 1100, vectors(101, seed=3))
    _index(lake)
    assert _segments(lake) == [1201]


def test_the_index_is_trained_again_when_another_model_replaces_the_vectors_bit_by_bit(lake):
    _add(lake, 0, vectors(600, seed=1))
    _index(lake)
    segments = []
    for first in range(0, 600, 150):
        _add(lake, first, vectors(150, seed=2 + first))
        _index(lake)
        segments.append(_segments(lake))
    assert segments == [[450, 150], [300, 300], [600], [450, 150]]


def test_an_index_of_an_earlier_version_of_this_software_is_replaced(lake):
    made = vectors(600, seed=1)
    _add(lake, 0, made)
    lake.dataset("clip_embeddings").create_index(
        "vector", "IVF_PQ", name="vector_idx", metric="cosine", num_partitions=2, num_sub_vectors=2, sample_rate=2
    )
    assert _segments(lake) == []
    _index(lake)
    assert _segments(lake) == [600]
    assert _nearest(lake, made[5], 1) == ["c000005"]


def test_vectors_of_captions_are_not_indexed(lake):
    _add(lake, 0, vectors(600, seed=1), table="caption_embeddings")
    _index(lake, "caption_embeddings")
    assert rows_of_segments(lake.dataset("caption_embeddings"), "vector") == []


def test_erased_vectors_leave_no_index_behind_in_a_table_too_small_for_one(lake):
    made = vectors(600, seed=1)
    _add(lake, 0, made)
    _index(lake)
    lake.delete("clip_embeddings", ["c000005"])
    rewrite_without_deleted(partial(lake.dataset, "clip_embeddings"), TABLE)
    assert _segments(lake) == []
    assert _nearest(lake, made[5], 1) != ["c000005"]


def test_lance_warns_of_nothing_on_the_terminal(lake):
    """A row is added to an index of two partitions: of the empty one Lance would tell."""
    _add(lake, 0, vectors(2 * ROWS_PER_PARTITION, seed=1))
    script = (
        "import numpy as np, pyarrow as pa\n"
        "from resources.lake.schema import TABLES, VECTOR_SIZE\n"
        "from resources.lake.store import Lake\n"
        "from resources.lake.vector_index import index_vectors, rows_of_segments\n"
        f"lake = Lake(root={lake.root!r})\n"
        "def index():\n"
        "    index_vectors(lake.dataset('clip_embeddings'), TABLES['clip_embeddings'], from_rows=0)\n"
        "index()\n"
        "vector = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(VECTOR_SIZE, np.float32)), VECTOR_SIZE)\n"
        "lake.upsert('clip_embeddings', pa.table({'clip_id': ['new'], 'vector': vector}))\n"
        "index()\n"
        "print(rows_of_segments(lake.dataset('clip_embeddings'), 'vector'))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "LANCE_LOG"}
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert (done.stdout, done.stderr) == (f"[{2 * ROWS_PER_PARTITION}, 1]\n", "")
