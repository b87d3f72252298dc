"""The loop: a lake trains a model on its own captions, embeds and scores its clips with it, and selects from those.

Training is cut to a few steps: what a model learns is shown elsewhere, here it is what becomes of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from assets.model_partitions import model_key
from assets.sources import register
from orchestration.house import House, Work
from resources.trainer import Trainer

MODEL = model_key("viclip-tiny", "all")


def bring_up_to_date(house: House, *locations: Path) -> Work:
    if locations:
        register(house.lake, house.media, [str(path) for path in locations], run_id="test")
    work = house.bring_up_to_date()
    assert work.failed_batches == {}
    return work


def versions(house: House, *tables: str) -> dict[str, int]:
    return {table: house.lake.version(table) for table in tables}


@pytest.fixture(scope="module")
def learning(open_house: Callable[[], House], monkeypatch_module: pytest.MonkeyPatch) -> Callable[[], House]:
    """Opens the lake as one that trains its first model, in a few steps."""

    def opened() -> House:
        house = open_house()
        house.resources["trainer"] = Trainer(steps_at_most=3, threads=1)
        return house

    monkeypatch_module.setenv("INTERNVID_FIRST_MODEL", "viclip-tiny|all")
    return opened


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as environment:
        yield environment


@pytest.fixture(scope="module")
def house(place: Path, learning: Callable[[], House], film: Callable[..., Path]) -> House:
    """A lake of six films that has trained its first model."""
    folder = place / "films"
    folder.mkdir(parents=True)
    for number in range(6):
        film(folder, f"{number}.mp4", number)
    house = learning()
    bring_up_to_date(house, folder)
    return house


def test_a_new_lake_trains_a_model_and_embeds_and_scores_every_clip_with_it(house):
    clips = house.lake.polars("clips", columns=["clip_id"])["clip_id"].sort().to_list()
    (checkpoint,) = house.lake.polars("checkpoints").to_dicts()
    (active,) = house.lake.polars("active_checkpoint").to_dicts()
    assert (checkpoint["model"], active["checkpoint_id"]) == (MODEL, checkpoint["checkpoint_id"])
    assert active["provenance"] == checkpoint["weights_digest"]

    vectors = house.lake.polars("clip_embeddings")
    assert sorted(vectors["embedding_id"]) == sorted(
        f"{clip}/{kind}" for clip in clips for kind in ("video", "caption")
    )
    assert set(vectors["model"]) == {checkpoint["checkpoint_id"]}
    lengths = np.linalg.norm(np.array(vectors["vector"].to_list()), axis=1)
    assert lengths == pytest.approx(1, abs=1e-5)

    by_id = dict(zip(vectors["embedding_id"], vectors["vector"].to_list(), strict=True))
    scores = house.lake.polars("clip_scores").filter(score="video_text_similarity")
    assert sorted(scores["clip_id"]) == clips
    expected = [np.dot(by_id[f"{clip}/video"], by_id[f"{clip}/caption"]) for clip in scores["clip_id"]]
    assert scores["value"].to_list() == pytest.approx(expected, abs=1e-6)
    assert all(number["pending"] == 0 for _, number in house.counts())


def test_a_vector_is_what_the_model_says_of_the_clip_s_frames(house):
    from internvid.viclip.checkpoint import load_checkpoint
    from internvid.viclip.encoder import Encoder
    from internvid.video.jpeg import rgb_of_jpeg

    (active,) = house.lake.polars("active_checkpoint").to_dicts()
    encoder = Encoder(load_checkpoint(Path(active["path"])))
    row = house.lake.polars("clip_embeddings").filter(pl.col("kind") == "video").row(3, named=True)
    frames = house.lake.polars("frames").filter(pl.col("clip_id") == row["clip_id"]).sort("pts")
    (expected,) = encoder.encode_videos([np.stack([rgb_of_jpeg(jpeg) for jpeg in frames["jpeg"]])])
    assert row["vector"][: row["dimensions"]] == pytest.approx(expected, abs=1e-5)
    assert not np.any(row["vector"][row["dimensions"] :])


def test_the_receipt_says_what_the_model_was_made_from(house):
    (checkpoint,) = house.lake.polars("checkpoints").to_dicts()
    receipt = json.loads(Path(checkpoint["path"], "receipt.json").read_text())
    (made,) = house.lake.polars("subset_snapshots").to_dicts()
    assert receipt["snapshot"] == checkpoint["snapshot"] != made["snapshot"], "scores came after the training"
    assert set(house.lake.tags()) == {checkpoint["snapshot"], made["snapshot"]}
    assert receipt["subset"] == "all"
    assert receipt["provenance"] == checkpoint["provenance"]
    assert checkpoint["clips"] == made["train_clips"]


def test_it_is_evaluated_on_videos_that_it_was_not_trained_on(house):
    evaluations = house.lake.polars("evaluations")
    subset = house.lake.polars("subsets")
    held_out = subset.filter(pl.col("split") == "test")
    assert set(evaluations["items"]) == {held_out.height}
    assert not set(held_out["video_id"]) & set(subset.filter(pl.col("split") == "train")["video_id"])
    recall = evaluations.filter(pl.col("metric") == "text_to_video_recall_at_1").row(0, named=True)
    assert recall["chance"] == pytest.approx(100 / held_out.height)


def test_a_second_run_trains_nothing_and_embeds_nothing(house, learning):
    tables = ("checkpoints", "evaluations", "subsets", "clip_embeddings", "clip_scores", "corpus_snapshot", "attempts")
    before = versions(house, *tables)
    work = bring_up_to_date(learning())
    assert versions(house, *tables) == before
    assert work.seconds == {}


def test_a_caption_that_says_something_else_is_embedded_and_scored_anew_and_nothing_else_is(house):
    tables = ("clip_embeddings", "clip_scores")
    before = {table: {row["clip_id"]: row["run_id"] for row in house.lake.polars(table).to_dicts()} for table in tables}
    captions = house.lake.polars("clip_captions")
    clip_id = captions["clip_id"][0]
    changed = captions.filter(pl.col("clip_id") == clip_id).with_columns(
        caption=pl.lit("A dog."), digest=pl.lit("another"), provenance=pl.lit("another")
    )
    house.lake.upsert("clip_captions", changed)
    pending = {step.name: number["pending"] for step, number in house.counts()}
    assert (pending["clip_embeddings"], pending["clip_captions"]) == (1, 1)
    house.lake.upsert("clip_captions", captions.filter(pl.col("clip_id") == clip_id))
    assert all(number["pending"] == 0 for _, number in house.counts())
    assert before == {
        table: {row["clip_id"]: row["run_id"] for row in house.lake.polars(table).to_dicts()} for table in tables
    }


def test_search_ranks_by_words_and_by_vectors(house):
    from assets.clip_embeddings import padded

    row = house.lake.polars("clip_embeddings").filter(pl.col("kind") == "video").row(0, named=True)
    caption = house.lake.polars("clip_captions").filter(pl.col("clip_id") == row["clip_id"])["caption"][0]
    vector = padded(np.array(row["vector"], np.float32)[: row["dimensions"]])
    by_vector = house.lake.search("zzz", vector=vector, limit=3)
    assert by_vector["clip_id"][0].as_py() == row["clip_id"]
    both = house.lake.search(caption, vector=vector, limit=3)
    assert both["clip_id"][0].as_py() == row["clip_id"]
    assert both["score"][0].as_py() > by_vector["score"][0].as_py()


# --- what follows changes the lake ------------------------------------------------------------------------------


def status_of(house: House, asset: str, partition: str) -> StaleStatus:
    definitions = house._definitions
    graph = definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(house.instance, graph, LoadingContextForTest(house.instance))
    return resolver.get_status(dg.AssetKey(asset), partition)


def test_a_new_snapshot_makes_the_checkpoint_stale_and_evaluating_again_trains_nothing(house, place, film):
    assert status_of(house, "checkpoints", MODEL) == StaleStatus.FRESH
    trained = house.lake.version("checkpoints")
    house._run("train", Work(), MODEL)
    assert house.lake.version("checkpoints") == trained

    film(place / "films", "new.mp4", 7)
    bring_up_to_date(house, place / "films")
    assert status_of(house, "checkpoints", MODEL) == StaleStatus.STALE
    assert house.lake.version("checkpoints") == trained, "a stale model is trained anew when somebody asks for it"


def test_another_active_checkpoint_makes_all_vectors_and_scores_anew(house):
    work = Work()
    house.train("viclip-tiny", "all", work)
    assert work.failed_batches == {}
    rows = house.lake.polars("checkpoints").sort("written_at").to_dicts()
    first, second = (row["checkpoint_id"] for row in rows)
    assert set(house.lake.polars("clip_embeddings")["model"]) == {first}, "a newly trained model is not active yet"

    from assets.active_checkpoint import activate_named

    activate_named(house.instance, house.lake, house.resources["aligner"], second)
    vectors = house.lake.dataset("clip_embeddings").count_rows()
    pending = {step.name: number["pending"] for step, number in house.counts()}
    assert pending["clip_embeddings"] == vectors
    work = bring_up_to_date(house)
    assert work.rows["clip_embeddings"]["changed"] == vectors
    assert set(house.lake.polars("clip_embeddings")["model"]) == {second}
    assert set(house.lake.polars("clip_scores").filter(score="video_text_similarity")["model"]) == {second}


def test_a_checkpoint_whose_files_were_changed_is_not_used(house, tmp_path):
    (active,) = house.lake.polars("active_checkpoint").to_dicts()
    weights = Path(active["path"], "model.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + b"\x00\x00\x80\x3f")
    try:
        from resources.aligner import _encoder

        _encoder.cache_clear()
        with pytest.raises(ValueError, match="files have changed"):
            house.resources["aligner"].encoder(house.lake, house.resources["aligner"].active(house.lake))
    finally:
        weights.write_bytes(content)
