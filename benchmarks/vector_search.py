"""Search for clips by a text's vector: the index of clip_embeddings, against one index of clips and captions together.

    python benchmarks/vector_search.py [--clips 100000]

The vectors are made: clusters on a sphere, captions near their clips, and a gap between both kinds as CLIP models leave
it. Recall is the share of the ten truly nearest clips, found by comparing all. Both ways are timed in turn on the same
queries, in one process, with their tables kept open.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from resources.lake.maintenance import index_vectors
from resources.lake.schema import TABLES, VECTOR_SIZE
from resources.lake.search import search_vectors
from resources.lake.store import Lake

NEAREST = 10
QUERIES = 200
CLIPS_PER_CLUSTER = 200
GAP = 0.8  # length of the offset between pictures and texts, before vectors are scaled to length 1
ROWS_PER_WRITE = 25_000


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def made_vectors(clips: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns vectors of clips and of their captions, both [clips, VECTOR_SIZE]."""
    random = np.random.default_rng(seed)
    centres = unit(random.normal(size=(max(1, clips // CLIPS_PER_CLUSTER), VECTOR_SIZE)))
    meaning = centres[random.integers(len(centres), size=clips)] + unit(random.normal(size=(clips, VECTOR_SIZE))) * 0.7
    offset = unit(random.normal(size=(1, VECTOR_SIZE))) * GAP
    noise = unit(random.normal(size=(clips, VECTOR_SIZE))) * 0.5
    return unit(meaning + offset), unit(meaning + noise - offset)


def column(vectors: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), VECTOR_SIZE)


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
    partitions = max(1, round(dataset.count_rows() ** 0.5))
    dataset.create_index(
        "vector", "IVF_PQ", metric="cosine", num_partitions=partitions, num_sub_vectors=VECTOR_SIZE // 8
    )
    dataset = lance.dataset(str(folder))

    def search(query: np.ndarray) -> list[str]:
        nearest = {"column": "vector", "q": query, "k": NEAREST, "metric": "cosine", "refine_factor": 4}
        rows = dataset.to_table(
            columns=["clip_id", "_distance"], filter="kind = 'video'", nearest=nearest, prefilter=True
        )
        return rows["clip_id"].to_pylist()

    return search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100_000)
    arguments = parser.parse_args()
    videos, captions = made_vectors(arguments.clips, seed=0)
    random = np.random.default_rng(1)
    queries = captions[random.choice(len(captions), QUERIES, replace=False)]
    truth = []
    for query in queries:
        nearest = np.argpartition(-(videos @ query), NEAREST)[:NEAREST]
        truth.append({f"c{number:09d}" for number in nearest})
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(root=f"{folder}/lake")
        lake.create_tables()
        write(lake, "clip_embeddings", videos)
        started = time.monotonic()
        index_vectors(lake.dataset("clip_embeddings"), TABLES["clip_embeddings"], from_rows=0)
        print(f"{arguments.clips:,} clips; the index took {time.monotonic() - started:.0f} s")
        opened = lake.dataset("clip_embeddings")

        def apart(query: np.ndarray) -> list[str]:
            return search_vectors(opened, query, NEAREST)["clip_id"].to_pylist()

        both = together(Path(folder, "both.lance"), videos, captions)
        ways = {"clips alone": apart, "clips and captions in one index": both}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        shares: dict[str, list[float]] = {way: [] for way in ways}
        for query, nearest in zip(queries, truth, strict=True):
            for way, search in ways.items():
                started = time.monotonic()
                clip_ids = search(query)
                seconds[way].append(time.monotonic() - started)
                shares[way].append(len(nearest & set(clip_ids)) / NEAREST)
        for way in ways:
            p50, p95 = np.percentile(np.array(seconds[way]) * 1000, (50, 95))
            print(f"{way:32} p50 {p50:6.1f} ms, p95 {p95:6.1f} ms, recall@10 {np.mean(shares[way]):.3f}")


if __name__ == "__main__":
    main()
