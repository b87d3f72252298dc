"""Small rows, four processes that write at once, and what a table then holds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial

import numpy as np
import polars as pl
import pyarrow as pa

from internvid.text.search_terms import indexed_terms
from resources.lake.maintenance import Maintenance, maintain
from resources.lake.schema import TABLES, VECTOR_SIZE
from resources.lake.store import Lake

WRITERS = 4
AT_ONCE = timedelta(0)
_barrier = None


def share(barrier) -> None:
    """Gives a writer the barrier at which all of them meet."""
    global _barrier
    _barrier = barrier


def _together(task: Callable, *arguments):
    """Within a writer: waits until every writer has come here, then does the task."""
    assert _barrier is not None
    _barrier.wait(timeout=120)
    return task(*arguments)


def at_once(writers: ProcessPoolExecutor, task: Callable, arguments: list[tuple]) -> list:
    """The results of `task`, run by every writer at the same moment, each with its own arguments."""
    assert len(arguments) == WRITERS
    return [future.result() for future in [writers.submit(_together, task, *each) for each in arguments]]


def clips(keys: list[str], *, provenance: str = "p1", batch: str = "b1", boundary: str = "cut") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "clip_id": keys,
            "video_id": ["v"] * len(keys),
            "boundary": [boundary] * len(keys),
            "ingest_batch": [batch] * len(keys),
            "provenance": [provenance] * len(keys),
        },
        schema_overrides={"clip_id": pl.String},
    )


def captions(texts: dict[str, str], *, provenance: str = "p1") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "clip_id": list(texts),
            "video_id": ["v"] * len(texts),
            "caption": list(texts.values()),
            "caption_terms": [indexed_terms(text) for text in texts.values()],
            "model": ["m"] * len(texts),
            "provenance": [provenance] * len(texts),
        }
    )


def contents(lake: Lake, table: str, *, at: str | int | None = None) -> dict[str, dict]:
    """Key -> the row's columns that are not null."""
    rows = lake.polars(table, at=at).to_dicts()
    keyed = {row[TABLES[table].key]: {name: value for name, value in row.items() if value is not None} for row in rows}
    assert len(keyed) == len(rows), "a key is in the table twice"
    return keyed


def tidy(lake: Lake, table: str, *, keep_versions_for: timedelta = timedelta(days=7)) -> Maintenance:
    """What `Lake.optimize` does to one table."""
    return maintain(partial(lake.dataset, table), TABLES[table], keep_versions_for=keep_versions_for)


def expected(*frames: pl.DataFrame, key: str = "clip_id") -> dict[str, dict]:
    return {row[key]: row for frame in frames for row in frame.to_dicts()}


def indexes(lake: Lake, table: str) -> list[tuple[str, str]]:
    kinds = lake.dataset(table).describe_indices()
    return sorted((name, index.type_url.split(".")[-1]) for index in kinds for name in index.field_names)


def vectors(count: int, seed: int, dimensions: int = 64) -> np.ndarray:
    """[count, VECTOR_SIZE] float32 of length one, of which only `dimensions` are used."""
    made = np.zeros((count, VECTOR_SIZE), np.float32)
    made[:, :dimensions] = np.random.default_rng(seed).normal(size=(count, dimensions))
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def embed_clips(lake: Lake, made: np.ndarray, provenance: str) -> None:
    ids = [f"c{number:04d}" for number in range(len(made))]
    rows = {
        "clip_id": ids,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), VECTOR_SIZE),
        "provenance": [provenance] * len(ids),
        "ingest_batch": ["b1"] * len(ids),
    }
    lake.upsert("clip_embeddings", pa.table(rows))
    lake.upsert("clip_captions", captions(dict.fromkeys(ids, "a clip")))


def nearest(lake: Lake, vector: np.ndarray) -> list[str]:
    return lake.search("zzz", vector=vector, limit=5)["clip_id"].to_pylist()


def by_hand(made: np.ndarray, vector: np.ndarray) -> list[str]:
    return [f"c{number:04d}" for number in np.argsort(-(made @ vector))[:5]]
