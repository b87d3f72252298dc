"""Search by vectors in a large lake: the index of clip_embeddings, against exact search and an index of another type.

    python benchmarks/search.py [--clips 1000000] [--decay 0 0.5] [--no-alternative] [--folder /tmp]

For each shape of the noise within clusters (`--decay`, see `generators/vectors.py`) a lake is filled with made
vectors and maintained. Printed are time and peak memory of building the index, of maintenance with nothing new and
after 1 % new rows; and for queries by a caption's vector and by one near a clip's: milliseconds at the 50th and 95th
percentile, those of the processor, and recall@10 against an exact search of the same rows. The alternative is IVF_PQ
with √rows partitions and a byte for eight dimensions. All are asked in turn, one query at a time, with their tables
kept open; "opened for each query" opens the table as a command does. Everything is removed afterwards.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from generators.vectors import VectorSpace, column, unit

from resources.lake.schema import CLIP_EMBEDDINGS
from resources.lake.search import search_vectors
from resources.lake.store import Lake
from resources.lake.vector_index import rows_of_segments

if TYPE_CHECKING:
    import lance

NEAREST = 10
QUERIES_OF_A_KIND = 100
EXACT_QUERIES = 10  # of a kind, timed; the truth of all comes from one pass over the table
CLIPS_PER_CLUSTER = 250
ROWS_PER_BATCH = 25_000
NEW_SHARE = 0.01
NEAR_NOISE = 0.3

Search = Callable[[np.ndarray], list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--decay", type=float, nargs="+", default=[0.0, 0.5], help="shapes of the noise, one lake each")
    parser.add_argument("--no-alternative", action="store_true", help="builds only the index of the lake")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where to put the lakes")
    arguments = parser.parse_args()
    for decay in arguments.decay:
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="search-") as folder:
            _measure(Path(folder), arguments.clips, decay, alternative=not arguments.no_alternative)


def _measure(folder: Path, clips: int, decay: float, *, alternative: bool) -> None:
    space = VectorSpace.made(max(1, clips // CLIPS_PER_CLUSTER), decay=decay)
    random = np.random.default_rng(1)
    lake = Lake(root=f"{folder}/lake")
    lake.create_tables()
    meanings = space.meanings(2 * QUERIES_OF_A_KIND, random)
    texts, near = meanings[:QUERIES_OF_A_KIND], meanings[QUERIES_OF_A_KIND:]
    queries = {
        "a caption": space.captions(texts, random),
        "near a clip": unit(space.clips(near) + NEAR_NOISE * space.noise(len(near), random)),
    }
    _append(lake, space, clips - len(meanings), 0, random)
    _append_batches(lake, [_rows(space.clips(meanings), clips - len(meanings))])
    print(f"\n{clips:,} clips in {len(space.centres):,} clusters, decay of the noise {decay:g}", flush=True)

    alternative_root = f"{folder}/alternative"
    if alternative:  # links, for Lance never changes a file
        shutil.copytree(lake.uri(CLIP_EMBEDDINGS.name), alternative_root, copy_function=os.link)
    _print_cost("first maintenance, which builds the index", _in_a_process(_maintain, lake))
    _print_cost("maintenance with nothing new", _in_a_process(_maintain, lake))
    opened = lake.dataset(CLIP_EMBEDDINGS.name)
    truth = {kind: _nearest(opened, vectors) for kind, vectors in queries.items()}
    ways: dict[str, Search] = {
        "index": _of_open_table(opened),
        "index, opened for each query": partial(_opened_for_each, lake),
        "exact": _exact(opened),
    }
    for kind, vectors in queries.items():
        _print_ways(kind, ways, vectors, truth[kind])

    _measure_growth(lake, space, round(clips * NEW_SHARE), queries, random)
    if alternative:
        _print_cost("the alternative, IVF_PQ", _in_a_process(_build_alternative, alternative_root))
        ways = {"index": _of_open_table(opened), "IVF_PQ": _of_alternative(alternative_root)}
        for kind, vectors in queries.items():
            _print_ways(kind, ways, vectors, truth[kind])


def _measure_growth(
    lake: Lake, space: VectorSpace, new: int, queries: dict[str, np.ndarray], random: np.random.Generator
) -> None:
    _append(lake, space, new, lake.dataset(CLIP_EMBEDDINGS.name).count_rows(), random)
    truth = {kind: _nearest(lake.dataset(CLIP_EMBEDDINGS.name), vectors) for kind, vectors in queries.items()}
    for when in ("before", "after"):
        if when == "after":
            _print_cost(f"maintenance after {new:,} new rows", _in_a_process(_maintain, lake))
        opened = lake.dataset(CLIP_EMBEDDINGS.name)
        segments = ", ".join(f"{rows:,}" for rows in rows_of_segments(opened, "vector"))
        print(f"{when} it, segments of {segments} rows")
        for kind, vectors in queries.items():
            _print_ways(kind, {"index": _of_open_table(opened)}, vectors, truth[kind])


# --- rows -------------------------------------------------------------------------------------------------------


def _append(lake: Lake, space: VectorSpace, count: int, first: int, random: np.random.Generator) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, count, ROWS_PER_BATCH):
            meanings = space.meanings(min(ROWS_PER_BATCH, count - start), random)
            yield _rows(space.clips(meanings), first + start)

    _append_batches(lake, batches())


def _append_batches(lake: Lake, batches: Iterator[pa.RecordBatch] | list[pa.RecordBatch]) -> None:
    """Writes without looking for keys: there are none twice, and a million would take minutes to find out."""
    import lance

    reader = pa.RecordBatchReader.from_batches(CLIP_EMBEDDINGS.arrow, batches)
    lance.write_dataset(reader, lake.uri(CLIP_EMBEDDINGS.name), mode="append")


def _rows(vectors: np.ndarray, first: int) -> pa.RecordBatch:
    known = {
        "clip_id": pa.array([_clip_id(number) for number in range(first, first + len(vectors))]),
        "vector": column(vectors),
        "ingest_batch": pa.array(["made"] * len(vectors)),
        "provenance": pa.array(["made"] * len(vectors)),
    }
    columns = [known.get(field.name, pa.nulls(len(vectors), field.type)) for field in CLIP_EMBEDDINGS.arrow]
    return pa.record_batch(columns, schema=CLIP_EMBEDDINGS.arrow)


def _clip_id(number: int) -> str:
    return f"c{number:09d}"


# --- ways to search ---------------------------------------------------------------------------------------------


def _of_open_table(opened: lance.LanceDataset) -> Search:
    return lambda query: search_vectors(opened, query, NEAREST)["clip_id"].to_pylist()


def _opened_for_each(lake: Lake, query: np.ndarray) -> list[str]:
    return search_vectors(lake.dataset(CLIP_EMBEDDINGS.name), query, NEAREST)["clip_id"].to_pylist()


def _of_alternative(root: str) -> Search:
    import lance

    opened = lance.dataset(root)
    nearest = {"column": "vector", "k": NEAREST, "metric": "cosine", "refine_factor": 4}
    return lambda query: opened.to_table(columns=["clip_id"], nearest=nearest | {"q": query})["clip_id"].to_pylist()


def _exact(opened: lance.LanceDataset) -> Search:
    nearest = {"column": "vector", "k": NEAREST, "metric": "cosine", "use_index": False}
    return lambda query: opened.to_table(columns=["clip_id"], nearest=nearest | {"q": query})["clip_id"].to_pylist()


def _nearest(opened: lance.LanceDataset, queries: np.ndarray) -> list[set[str]]:
    """Returns the clips truly nearest to each query, in one pass over the table by numpy."""
    scores = np.zeros((len(queries), 0), np.float32)
    clip_ids = np.zeros((len(queries), 0), object)
    for batch in opened.to_batches(columns=["clip_id", "vector"], batch_size=ROWS_PER_BATCH):
        vectors = batch["vector"].flatten().to_numpy().reshape(batch.num_rows, -1)
        ids = np.array(batch["clip_id"].to_pylist(), object)
        scores = np.concatenate([scores, queries @ vectors.T], axis=1)
        clip_ids = np.concatenate([clip_ids, np.broadcast_to(ids, (len(queries), len(ids)))], axis=1)
        best = np.argsort(-scores, axis=1)[:, :NEAREST]
        scores = np.take_along_axis(scores, best, axis=1)
        clip_ids = np.take_along_axis(clip_ids, best, axis=1)
    return [set(row) for row in clip_ids]


# --- measuring --------------------------------------------------------------------------------------------------


def _maintain(lake: Lake) -> None:
    lake.optimize()


def _build_alternative(root: str) -> None:
    import lance

    dataset = lance.dataset(root)
    partitions = max(1, round(dataset.count_rows() ** 0.5))
    dataset.create_index("vector", "IVF_PQ", metric="cosine", num_partitions=partitions, num_sub_vectors=96)


def _in_a_process(task: Callable[..., None], *arguments: object) -> tuple[float, float, float]:
    """Returns seconds, seconds of the processor and peak memory in GB of a task in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_costs, (task, arguments))


def _costs(task: Callable[..., None], arguments: tuple) -> tuple[float, float, float]:
    started, used = time.monotonic(), time.process_time()
    task(*arguments)
    seconds, processor = time.monotonic() - started, time.process_time() - used
    # Not ru_maxrss, which begins with that of the process that started this one.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return seconds, processor, int(peak) / 2**20


def _print_cost(what: str, costs: tuple[float, float, float]) -> None:
    seconds, used, peak = costs
    print(f"{what}: {seconds:.1f} s, {used:.1f} s of the processor, {peak:.2f} GB at its peak", flush=True)


def _print_ways(kind: str, ways: dict[str, Search], queries: np.ndarray, truth: list[set[str]]) -> None:
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    used: dict[str, list[float]] = {way: [] for way in ways}
    shares: dict[str, list[float]] = {way: [] for way in ways}
    for search in ways.values():
        search(queries[0])  # reads what is kept in memory afterwards
    for number, (query, nearest) in enumerate(zip(queries, truth, strict=True)):
        for way, search in ways.items():
            if way == "exact" and number >= EXACT_QUERIES:
                continue
            started, processor = time.monotonic(), time.process_time()
            clip_ids = search(query)
            seconds[way].append(time.monotonic() - started)
            used[way].append(time.process_time() - processor)
            shares[way].append(len(nearest & set(clip_ids)) / NEAREST)
    for way in ways:
        p50, p95 = np.percentile(np.array(seconds[way]) * 1000, (50, 95))
        processor = np.mean(used[way]) * 1000
        print(
            f"  {kind:12} {way:30} p50 {p50:7.1f} ms, p95 {p95:7.1f} ms, processor {processor:7.1f} ms, "
            f"recall@{NEAREST} {np.mean(shares[way]):.3f}",
            flush=True,
        )
    if "exact" in ways:
        faster = np.median(seconds["exact"]) / np.median(seconds["index"])
        print(f"  {kind:12} the index answers {faster:.0f} times as fast as exact search", flush=True)


if __name__ == "__main__":
    main()
