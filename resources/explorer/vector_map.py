"""A map of the clips' vectors: those of a sample, projected onto two axes.

PCA takes a second and is always there; UMAP is offered where the package `umap-learn` is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resources.lake.statements import statement

if TYPE_CHECKING:
    from resources.lake.store import Lake

MAX_CLIPS = 4_000  # of a map: 12 MB of vectors, and as many points as a browser draws at once
METHODS = ("pca", "umap")
SEED = 42
BLOCK, ITERATIONS = 16, 30  # of the search for the two axes

_lock = threading.Lock()
_last: dict[tuple[str, int, str], VectorMap] = {}
MAPS_KEPT = 4


@dataclass(frozen=True)
class VectorMap:
    """Clips on a map. points: [clips, 2] float32, within 0 and 1. clips: that have a vector, in the whole lake.

    model: whose vectors they are; the most frequent one, for vectors of two models cannot be compared.
    explained: share of the vectors' variance that the two axes show; None of UMAP.
    """

    clip_ids: list[str]
    points: np.ndarray
    clips: int
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


def vector_map(lake: Lake, method: str = "pca") -> VectorMap:
    """Returns the map of the lake's vectors as they are. Raises ValueError for a method that is not installed."""
    if method not in methods():
        raise ValueError(f"{method[:20]!r} is not installed: there is {', '.join(methods())}")
    dataset = lake.dataset("clip_embeddings")
    key = lake.root, dataset.version, method
    with _lock:
        if key not in _last:
            _last[key] = _made(lake, method)
            for old in list(_last)[:-MAPS_KEPT]:
                del _last[old]
        return _last[key]


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


def _made(lake: Lake, method: str) -> VectorMap:
    models = lake.query(statement("explorer/vector_models")).to_pylist()
    clips = lake.dataset("clip_embeddings").count_rows()
    if not models:
        return VectorMap([], np.zeros((0, 2), np.float32), 0, "", None)
    model = models[0]["model"]
    chosen = np.random.default_rng(SEED).choice(clips, size=min(clips, MAX_CLIPS), replace=False)
    columns = ["clip_id", "model", "dimensions", "vector"]
    rows = lake.dataset("clip_embeddings").take(np.sort(chosen).tolist(), columns)
    is_of_model = np.array([name == model for name in rows["model"].to_pylist()], bool)
    clip_ids = np.array(rows["clip_id"].to_pylist(), object)[is_of_model].tolist()
    flat = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = flat.reshape(rows.num_rows, -1)[is_of_model][:, : models[0]["dimensions"]].astype(np.float32)
    if method == "umap":
        umap = importlib.import_module("umap")  # which nothing here depends on
        positions = umap.UMAP(random_state=SEED, n_neighbors=min(15, max(2, len(vectors) - 1))).fit_transform(vectors)
        explained = None
    else:
        positions, explained = projected(vectors)
    return VectorMap(clip_ids, _within_one(positions), clips, model, explained)


def _within_one(positions: np.ndarray) -> np.ndarray:
    """Scales positions into 0 to 1, the same on both axes, with a margin of a fiftieth."""
    if not len(positions):
        return np.zeros((0, 2), np.float32)
    lowest, highest = positions.min(axis=0), positions.max(axis=0)
    span = float((highest - lowest).max()) or 1.0
    return (((positions - (lowest + highest) / 2) / span) * 0.96 + 0.5).astype(np.float32)
