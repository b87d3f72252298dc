"""Search for clips by a text's vector: the index of clip_embeddings, against one index of clips and captions together.

    python benchmarks/vector_search.py [--clips 200000]

The vectors are made (`generators/vectors.py`): clusters, captions near their clips, and a gap between both kinds as
CLIP models leave it. Recall is the share of the ten truly nearest clips, found by comparing all. Both ways have the
lake's index, and are timed in turn on the same queries, in one process, with their tables kept open.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from generators.vectors import VectorSpace, column

from resources.lake.schema import CLIP_EMBEDDINGS
from resources.lake.search import search_vectors
from resources.lake.store import Lake
from resources.lake.vector_index import index_vectors, nearest

NEAREST = 10
QUERIES = 200
CLIPS_PER_CLUSTER = 200
ROWS_PER_WRITE = 25_000


def write(lake: Lake, table: str, vectors: np.ndarray) -> None:
    for start in range(0, len(vectors), ROWS_PER_WRITE):
        part = vectors[start : start + ROWS_PER_WRITE]
        ids = [f"c{number:09d}" for number in range(start, start + len(part))]
        same = {name: ["made"] * len(part) for name in ("provenance", "ingest_batch", "model")}
        lake.upsert(table, pa.table({"clip_id": ids, "vector": column(part), **same}))


def together(folder: Path, videos: np.ndarray, captions: np.ndarray) -> Callable[[np.ndarray], list[str]]:
    """Returns a search in one table of both kinds with one index, filtered by kind after an index on the kind."""
    import lance

    def batches() -> Iterator[pa.RecordBatch]:
        for kind, vectors in (("video", videos), ("caption", captions)):
            for start in range(0, len(vectors), ROWS_PER_WRITE):
                part = vectors[start : start + ROWS_PER_WRITE]
                ids = [f"c{number:09d}" for number in range(start, start + len(part))]
                yield pa.record_batch([ids, [kind] * len(ids), column(part)], ["clip_id", "kind", "vector"])

    first, *_ = batches()
    dataset = lance.write_dataset(pa.RecordBatchReader.from_batches(first.schema, batches()), str(folder))
    dataset.create_scalar_index("kind", "BITMAP")
    index_vectors(dataset, CLIP_EMBEDDINGS, from_rows=0)
    dataset = lance.dataset(str(folder))

    def search(query: np.ndarray) -> list[str]:
        wanted = nearest("vector", query, NEAREST)
        rows = dataset.to_table(
            columns=["clip_id", "_distance"], filter="kind = 'video'", nearest=wanted, prefilter=True
        )
        return rows["clip_id"].to_pylist()

    return search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200_000)
    arguments = parser.parse_args()
    random = np.random.default_rng(1)
    space = VectorSpace.made(max(1, arguments.clips // CLIPS_PER_CLUSTER), decay=0.5)
    meanings = space.meanings(arguments.clips, random)
    videos, captions = space.clips(meanings), space.captions(meanings, random)
    del meanings
    queries = captions[random.choice(len(captions), QUERIES, replace=False)]
    truth = []
    for query in queries:
        best = np.argpartition(-(videos @ query), NEAREST)[:NEAREST]
        truth.append({f"c{number:09d}" for number in best})
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(root=f"{folder}/lake")
        lake.create_tables()
        write(lake, "clip_embeddings", videos)
        started = time.monotonic()
        index_vectors(lake.dataset("clip_embeddings"), CLIP_EMBEDDINGS, from_rows=0)
        print(f"{arguments.clips:,} clips; the index took {time.monotonic() - started:.0f} s")
        opened = lake.dataset("clip_embeddings")

        def apart(query: np.ndarray) -> list[str]:
            return search_vectors(opened, query, NEAREST)["clip_id"].to_pylist()

        both = together(Path(folder, "both.lance"), videos, captions)
        ways = {"clips alone": apart, "clips and captions in one index": both}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        shares: dict[str, list[float]] = {way: [] for way in ways}
        for query, best in zip(queries, truth, strict=True):
            for way, search in ways.items():
                started = time.monotonic()
                clip_ids = search(query)
                seconds[way].append(time.monotonic() - started)
                shares[way].append(len(best & set(clip_ids)) / NEAREST)
        for way in ways:
            p50, p95 = np.percentile(np.array(seconds[way]) * 1000, (50, 95))
            print(f"{way:32} p50 {p50:6.1f} ms, p95 {p95:6.1f} ms, recall@10 {np.mean(shares[way]):.3f}")


if __name__ == "__main__":
    main()
