"""The map of the vectors, and two snapshots side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from explorer_lake import caption, fill
from lake_copies import IN_A_FOLDER, linked_copy

from resources.explorer.published_statistics import published_statistics
from resources.explorer.side_by_side import side_by_side
from resources.explorer.vector_map import VectorMap, methods, projected, tables, values_of, vector_map
from resources.explorer.view import LakeViews
from resources.lake.schema import VECTOR_SIZE
from resources.lake.store import Lake

CLIPS = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, new_lake: Callable[[Path], Lake]) -> tuple[Lake, str, list[str]]:
    lake = new_lake(tmp_path_factory.mktemp("filled") / "lake")
    return lake, *fill(lake, CLIPS)


@pytest.fixture
def filled(made: tuple[Lake, str, list[str]], tmp_path: Path) -> tuple[Lake, str, list[str]]:
    """A lake of 60 clips, its snapshot with other captions, and the clips' ids."""
    lake, snapshot, ids = made
    return Lake(root=str(linked_copy(Path(lake.root), tmp_path / "filled"))), snapshot, ids


def test_the_axes_are_those_of_largest_variance():
    chance = np.random.default_rng(1)
    flat = chance.normal(0, 1, (500, 2)) * [5.0, 2.0]
    turned = np.linalg.qr(chance.normal(0, 1, (40, 40)))[0]
    vectors = np.column_stack([flat, chance.normal(0, 0.1, (500, 38))]) @ turned.T + 3
    positions, explained = projected(vectors)
    # An independent computation: the singular values of the centred vectors.
    centred = vectors - vectors.mean(axis=0)
    singular = np.linalg.svd(centred, compute_uv=False)
    assert explained == pytest.approx((singular[:2] ** 2).sum() / (singular**2).sum())
    assert np.sqrt((positions**2).sum(axis=0)) == pytest.approx(singular[:2])
    for axis in range(2):
        assert abs(np.corrcoef(positions[:, axis], flat[:, axis])[0, 1]) > 0.99
    assert np.array_equal(positions, projected(vectors.copy())[0]), "the same each time"


@pytest.mark.parametrize(("vectors", "explained"), [(np.ones((5, 3)), 1.0), (np.ones((1, 3)), 1.0)])
def test_vectors_that_are_all_the_same_are_one_point(vectors, explained):
    positions, share = projected(vectors)
    assert positions == pytest.approx(np.zeros((len(vectors), 2)))
    assert share == explained


def test_clusters_of_vectors_are_clusters_of_the_map(filled):
    lake, _, ids = filled
    made = vector_map(lake)
    assert sorted(made.clip_ids) == sorted(ids)
    assert (made.clips, made.model) == (CLIPS, "viclip")
    assert 0.9 < made.explained <= 1
    assert made.points.min() >= 0
    assert made.points.max() <= 1
    place = dict(zip(made.clip_ids, made.points, strict=True))
    centres = np.array([np.mean([place[clip_id] for clip_id in ids[first::3]], axis=0) for first in range(3)])
    for number, clip_id in enumerate(ids):
        assert np.linalg.norm(centres - place[clip_id], axis=1).argmin() == number % 3
    assert vector_map(lake) is made, "it is made once for a version of the table"


def test_vectors_of_another_model_are_left_out(filled):
    lake, _, _ = filled
    other = {"clip_id": ["x_1"], "model": ["other"], "dimensions": [768], "vector": [[0.5] * VECTOR_SIZE]}
    lake.upsert("clip_embeddings", pl.DataFrame(other | {"provenance": ["p"]}))
    made = vector_map(lake)
    assert "x_1" not in made.clip_ids
    assert len(made.clip_ids) == CLIPS


def test_the_classifiers_vectors_make_a_map_too_and_the_only_one_before_a_model_is_active(filled):
    lake, _, ids = filled
    assert tables(lake) == ["clip_embeddings"]
    vectors = np.eye(2, VECTOR_SIZE, dtype=np.float32).tolist()
    things = {"clip_id": ids[:2], "model": ["things"] * 2, "dimensions": [2] * 2, "vector": vectors}
    lake.upsert("clip_things", pl.DataFrame(things | {"provenance": ["p"] * 2}))
    assert tables(lake) == ["clip_embeddings", "clip_things"]
    assert vector_map(lake).model == "viclip"
    chosen = vector_map(lake, table="clip_things")
    assert (chosen.table, chosen.model, sorted(chosen.clip_ids)) == ("clip_things", "things", sorted(ids[:2]))
    lake.delete("clip_embeddings", ids)
    assert vector_map(lake).model == "things"
    with pytest.raises(ValueError, match="'clips' has no vectors"):
        vector_map(lake, table="clips")


@IN_A_FOLDER
def test_a_map_of_no_vectors_is_empty_and_one_by_what_is_not_installed_is_refused(lake):
    made = vector_map(lake)
    assert (made.clip_ids, made.points.shape) == ([], (0, 2))
    assert methods()[0] == "pca"
    with pytest.raises(ValueError, match="'tsne' is not installed"):
        vector_map(lake, "tsne")


def test_the_scores_of_the_clips_are_in_their_order(filled):
    lake, _, ids = filled
    made = vector_map(lake)
    values = dict(zip(made.clip_ids, values_of(lake, made, "aesthetics"), strict=True))
    assert values == {clip_id: pytest.approx(number * 10 / CLIPS) for number, clip_id in enumerate(ids)}
    assert set(values_of(lake, made, "no such score")) == {None}


def test_the_inside_of_a_box_and_of_a_lasso():
    points = np.array([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9], [0.5, 0.1]], np.float32)
    made = VectorMap(["a", "b", "c", "d"], points, 4, "clip_embeddings", "m", None)
    assert made.inside([(0.6, 0.6), (0.05, 0.05)]) == ["a", "b", "d"]
    assert made.inside([(0, 0), (0.2, 0), (0.2, 0.2), (0, 0.2)]) == ["a"]
    # A lasso in the form of a U, which has the middle outside.
    around = [(0, 0), (1, 0), (1, 1), (0.8, 1), (0.8, 0.2), (0.2, 0.2), (0.2, 1), (0, 1)]
    assert made.inside(around) == ["a", "c", "d"]


def test_two_snapshots_are_compared_clip_by_clip(filled):
    lake, snapshot, ids = filled
    lake.delete("clip_captions", ids[-2:])
    caption(lake, ["new_1"], "second", "Another clip")
    view = LakeViews(lake).newest()
    found = side_by_side(view, snapshot, None, clips=5, seed=1)
    assert {name: found.counts[name] for name in ("same", "different", "only_a", "only_b")} == {
        "same": CLIPS // 2 - 2,
        "different": CLIPS // 2,
        "only_a": 2,
        "only_b": 1,
    }
    assert len(found.pairs) == 5
    assert {(pair["model_a"], pair["model_b"]) for pair in found.pairs} == {("first", "second")}
    assert found.pairs == side_by_side(view, snapshot, None, clips=5, seed=1).pairs
    assert found.pairs != side_by_side(view, snapshot, None, clips=5, seed=2).pairs
    assert side_by_side(view, snapshot, snapshot, clips=5, seed=1).counts["different"] == 0


def test_statistics_are_read_again_when_they_were_published_again(filled, tmp_path):
    lake, _, _ = filled
    first = published_statistics(lake)
    assert first is not None
    assert first is published_statistics(lake)
    assert [chart.title for chart in first.charts("scores")] == ["Aesthetics", "Video text similarity"]
    assert first.charts("scores")[0].svg is not None
    assert "style=" not in first.charts("scores")[0].svg, "the pages' policy forbids styles within them"
    assert published_statistics(Lake(root=str(tmp_path / "none"))) is None
