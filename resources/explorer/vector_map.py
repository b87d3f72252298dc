"""A map of the clips' vectors: those of a sample, projected onto two axes.

The vectors are the active model's, or the classifier's, which clips have before a model is trained. PCA takes a second;
UMAP is offered where the package `umap-learn` is installed, and compiles itself for half a minute at its first map.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resources.lake.schema import CLIP_EMBEDDINGS, CLIP_THINGS

if TYPE_CHECKING:
    from resources.lake.store import Lake

MAX_CLIPS = 4_000  # of a map: 12 MB of vectors, and as many points as a browser draws at once
METHODS = ("pca", "umap")
TABLES = (CLIP_EMBEDDINGS.name, CLIP_THINGS.name)  # that have vectors of clips
SEED = 42
BLOCK, ITERATIONS = 16, 30  # of the search for the two axes

_locks = {method: threading.Lock() for method in METHODS}  # a slow method keeps nobody from the other
_last: dict[tuple[str, str, int, str], VectorMap] = {}
MAPS_KEPT = 4


@dataclass(frozen=True)
class VectorMap:
    """Clips on a map. points: [clips, 2] float32, within 0 and 1. clips: that have a vector, in the whole lake.

    table: whose vectors they are. model: by which; the most frequent one, for vectors of two cannot be compared.
    explained: share of the vectors' variance that the two axes show; None of UMAP.
    """

    clip_ids: list[str]
    points: np.ndarray
    clips: int
    table: str
    model: str
    explained: float | None

    def inside(self, corners: Sequence[tuple[float, float]]) -> list[str]:
        """Returns the clips inside of a polygon: of two corners, inside of the rectangle between them."""
        x, y = self.points[:, 0], self.points[:, 1]
        if len(corners) == 2:
            (left, top), (right, bottom) = corners
            is_inside = (x >= min(left, right)) & (x <= max(left, right))
            is_inside &= (y >= min(top, bottom)) & (y <= max(top, bottom))
        else:
            # A point is inside where a ray from it crosses the sides an odd number of times.
            is_inside = np.zeros(len(x), bool)
            for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
                crosses = (y1 > y) != (y2 > y)
                with np.errstate(divide="ignore", invalid="ignore"):
                    is_inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
        return [self.clip_ids[number] for number in np.flatnonzero(is_inside)]


def methods() -> list[str]:
    """Returns the methods that are installed."""
    return [name for name in METHODS if name == "pca" or importlib.util.find_spec("umap") is not None]


def tables(lake: Lake) -> list[str]:
    """Returns the tables of which a map can be made now: those of TABLES that have rows."""
    return [table for table in TABLES if lake.dataset(table).count_rows()]


def vector_map(lake: Lake, method: str = "pca", table: str = "") -> VectorMap:
    """Returns the map of the lake's vectors as they are.

    table: of TABLES; empty: the active model's, or the classifier's where there is none of a model yet.
    Raises ValueError for another table, and for a method that is not installed or does not work.
    """
    if method not in methods():
        raise ValueError(f"{method[:20]!r} is not installed: there is {', '.join(methods())}")
    if table and table not in TABLES:
        raise ValueError(f"{table[:20]!r} has no vectors: {' and '.join(TABLES)} have")
    table = table or next(iter(tables(lake)), TABLES[0])
    key = lake.root, table, lake.dataset(table).version, method
    with _locks[method]:
        made = _last.get(key) or _made(lake, method, table)
        _last[key] = made
        for old in list(_last)[:-MAPS_KEPT]:
            _last.pop(old, None)
        return made


def values_of(lake: Lake, made: VectorMap, score: str) -> list[float | None]:
    """Returns the score of each clip of the map, in its order; None where there is none."""
    keys = [f"{clip_id}/{score}" for clip_id in made.clip_ids]
    rows = lake.known("clip_scores", keys, ["clip_id", "value"])
    values = dict(zip(rows["clip_id"].to_pylist(), rows["value"].to_pylist(), strict=True))
    in_order = (values.get(clip_id) for clip_id in made.clip_ids)
    return [value if value is not None and np.isfinite(value) else None for value in in_order]


def projected(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns [rows, 2] positions on the two axes of largest variance, and the share of the variance that they show.

    vectors: [rows, dimensions].
    """
    centred = vectors - vectors.mean(axis=0, keepdims=True)
    # By subspace iteration, some ten times as fast as all axes of 768 dimensions.
    block = min(BLOCK, vectors.shape[1])
    start = np.random.default_rng(SEED).normal(size=(vectors.shape[1], block)).astype(vectors.dtype)
    axes, _ = np.linalg.qr(start)
    for _ in range(ITERATIONS):
        axes, _ = np.linalg.qr(centred.T @ (centred @ axes))
    _, deviations, turns = np.linalg.svd(centred @ axes, full_matrices=False)
    first_two = (axes @ turns.T)[:, :2]
    # An axis may point either way: its largest part is made positive, so that a map looks the same each time.
    largest = first_two[np.abs(first_two).argmax(axis=0), np.arange(first_two.shape[1])]
    positions = centred @ (first_two * np.where(largest < 0, -1.0, 1.0))
    if positions.shape[1] < 2:
        positions = np.column_stack([positions, np.zeros((len(positions), 2 - positions.shape[1]))])
    total = float((centred**2).sum())
    return positions, float((deviations[:2] ** 2).sum()) / total if total > 0 else 1.0


def _made(lake: Lake, method: str, table: str) -> VectorMap:
    dataset = lake.dataset(table)
    clips = dataset.count_rows()
    if not clips:
        return VectorMap([], np.zeros((0, 2), np.float32), 0, table, "", None)
    chosen = np.random.default_rng(SEED).choice(clips, size=min(clips, MAX_CLIPS), replace=False)
    rows = dataset.take(np.sort(chosen).tolist(), ["clip_id", "model", "dimensions", "vector"])
    models = rows["model"].to_pylist()
    model, _ = max(Counter(models).items(), key=lambda item: (item[1], item[0]))
    is_of_model = np.array([name == model for name in models], bool)
    clip_ids = np.array(rows["clip_id"].to_pylist(), object)[is_of_model].tolist()
    dimensions = max(row for row, is_of in zip(rows["dimensions"].to_pylist(), is_of_model, strict=True) if is_of)
    flat = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = flat.reshape(rows.num_rows, -1)[is_of_model][:, :dimensions].astype(np.float32)
    explained: float | None = None
    if method == "umap":
        positions = _by_umap(vectors)
    else:
        positions, explained = projected(vectors)
    return VectorMap(clip_ids, _within_one(positions), clips, table, model, explained)


def _by_umap(vectors: np.ndarray) -> np.ndarray:
    try:
        umap = importlib.import_module("umap")  # which nothing here depends on
    except ImportError as error:
        raise ValueError(f"umap-learn is installed but cannot be used: {error}") from error
    neighbours = min(15, max(2, len(vectors) - 1))
    positions: np.ndarray = umap.UMAP(random_state=SEED, n_neighbors=neighbours).fit_transform(vectors)
    return positions


def _within_one(positions: np.ndarray) -> np.ndarray:
    """Scales positions into 0 to 1, the same on both axes, with a margin of a fiftieth."""
    if not len(positions):
        return np.zeros((0, 2), np.float32)
    lowest, highest = positions.min(axis=0), positions.max(axis=0)
    span = float((highest - lowest).max()) or 1.0
    return (((positions - (lowest + highest) / 2) / span) * 0.96 + 0.5).astype(np.float32)
