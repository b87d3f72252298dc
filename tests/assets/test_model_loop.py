"""The loop: a lake trains a model on its own captions, embeds and scores its clips with it, and selects from those.

Training is cut to a few stages: what a model learns is shown elsewhere, here it is what becomes of it.
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

from assets.partitions import model_key
from orchestration.cli.session import RunSummary, Session
from resources.catalog.files import register
from resources.incremental.faults import ModelUnavailable
from resources.lake.schema import TABLES
from resources.training.trainer import Trainer

pytestmark = pytest.mark.slow

MODEL = model_key("viclip-tiny", "all")
VECTORS = ("clip_embeddings", "caption_embeddings")


def bring_up_to_date(session: Session, *locations: Path) -> RunSummary:
    if locations:
        register(session.lake, session.media, [str(path) for path in locations], run_id="test")
    summary = session.bring_up_to_date()
    assert summary.failed_runs == {}
    return summary


def versions(session: Session, *tables: str) -> dict[str, int]:
    return {table: session.lake.version(table) for table in tables}


@pytest.fixture(scope="module")
def learning(open_session: Callable[[], Session], monkeypatch_module: pytest.MonkeyPatch) -> Callable[[], Session]:
    """Opens the lake as one that trains its first model, in a few stages."""

    def opened() -> Session:
        session = open_session()
        session.resources["trainer"] = Trainer(max_steps=3, threads=1)
        return session

    monkeypatch_module.setenv("INTERNVID_FIRST_MODEL", "viclip-tiny|all")
    return opened


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as environment:
        yield environment


@pytest.fixture(scope="module")
def session(place: Path, learning: Callable[[], Session], synthetic_video: Callable[..., Path]) -> Session:
    """A lake of six videos that has trained its first model."""
    folder = place / "synthetic_videos"
    folder.mkdir(parents=True)
    for number in range(6):
        synthetic_video(folder, f"{number}.mp4", number)
    session = learning()
    bring_up_to_date(session, folder)
    return session


def test_a_new_lake_trains_a_model_and_embeds_and_scores_every_clip_with_it(session):
    clips = session.lake.polars("clips", columns=["clip_id"])["clip_id"].sort().to_list()
    (checkpoint,) = session.lake.polars("checkpoints").to_dicts()
    (active,) = session.lake.polars("active_checkpoint").to_dicts()
    assert (checkpoint["model"], active["checkpoint_id"]) == (MODEL, checkpoint["checkpoint_id"])
    assert active["provenance"] == checkpoint["weights_digest"]

    by_clip = {}
    for table in VECTORS:
        vectors = session.lake.polars(table)
        assert sorted(vectors["clip_id"]) == clips
        assert set(vectors["model"]) == {checkpoint["checkpoint_id"]}
        lengths = np.linalg.norm(np.array(vectors["vector"].to_list()), axis=1)
        assert lengths == pytest.approx(1, abs=1e-5)
        by_clip[table] = dict(zip(vectors["clip_id"], vectors["vector"].to_list(), strict=True))
    scores = session.lake.polars("clip_scores").filter(score="video_text_similarity")
    assert sorted(scores["clip_id"]) == clips
    expected = [np.dot(*(by_clip[table][clip] for table in VECTORS)) for clip in scores["clip_id"]]
    assert scores["value"].to_list() == pytest.approx(expected, abs=1e-6)
    assert all(number["pending"] == 0 for number in session.counts().values())


def test_a_vector_is_what_the_model_says_of_the_clip_s_frames(session):
    from internvid.viclip.checkpoint import load_checkpoint
    from internvid.viclip.encoder import Encoder
    from internvid.video.jpeg import rgb_of_jpeg

    (active,) = session.lake.polars("active_checkpoint").to_dicts()
    encoder = Encoder(load_checkpoint(Path(active["path"])))
    row = session.lake.polars("clip_embeddings").row(3, named=True)
    frames = session.lake.polars("frames").filter(pl.col("clip_id") == row["clip_id"]).sort("pts")
    (expected,) = encoder.encode_videos([np.stack([rgb_of_jpeg(jpeg) for jpeg in frames["jpeg"]])])
    assert row["vector"][: row["dimensions"]] == pytest.approx(expected, abs=1e-5)
    assert not np.any(row["vector"][row["dimensions"] :])


def test_the_receipt_says_what_the_model_was_made_from(session):
    (checkpoint,) = session.lake.polars("checkpoints").to_dicts()
    receipt = json.loads(Path(checkpoint["path"], "receipt.json").read_text())
    (made,) = session.lake.polars("subset_snapshots").to_dicts()
    assert receipt["snapshot"] == checkpoint["snapshot"] != made["snapshot"], "scores came after the training"
    assert set(session.lake.tags()) == {checkpoint["snapshot"], made["snapshot"]}
    assert receipt["subset"] == "all"
    assert receipt["provenance"] == checkpoint["provenance"]
    assert checkpoint["clips"] == made["train_clips"]


def test_it_is_evaluated_on_videos_that_it_was_not_trained_on(session):
    evaluations = session.lake.polars("evaluations")
    subset = session.lake.polars("subsets")
    held_out = subset.filter(pl.col("split") == "test")
    assert set(evaluations["items"]) == {held_out.height}
    assert not set(held_out["video_id"]) & set(subset.filter(pl.col("split") == "train")["video_id"])
    recall = evaluations.filter(pl.col("metric") == "text_to_video_recall_at_1").row(0, named=True)
    assert recall["chance"] == pytest.approx(100 / held_out.height)


def test_a_second_run_trains_nothing_and_embeds_nothing(session, learning):
    tables = ("checkpoints", "evaluations", "subsets", *VECTORS, "clip_scores", "corpus_snapshot", "attempts")
    before = versions(session, *tables)
    summary = bring_up_to_date(learning())
    assert versions(session, *tables) == before
    assert summary.seconds == {}


def test_a_caption_that_says_something_else_is_embedded_and_scored_anew_and_nothing_else_is(session):
    tables = (*VECTORS, "clip_scores")
    before = {
        table: {row["clip_id"]: row["run_id"] for row in session.lake.polars(table).to_dicts()} for table in tables
    }
    captions = session.lake.polars("clip_captions")
    clip_id = captions["clip_id"][0]
    changed = captions.filter(pl.col("clip_id") == clip_id).with_columns(
        caption=pl.lit("A dog."), digest=pl.lit("another"), provenance=pl.lit("another")
    )
    session.lake.upsert("clip_captions", changed)
    pending = {stage: number["pending"] for stage, number in session.counts().items()}
    assert [pending[stage] for stage in (*VECTORS, "clip_captions")] == [0, 1, 1]
    session.lake.upsert("clip_captions", captions.filter(pl.col("clip_id") == clip_id))
    assert all(number["pending"] == 0 for number in session.counts().values())
    assert before == {
        table: {row["clip_id"]: row["run_id"] for row in session.lake.polars(table).to_dicts()} for table in tables
    }


def test_search_ranks_by_words_and_by_vectors(session):
    from resources.models.aligner import padded

    row = session.lake.polars("clip_embeddings").row(0, named=True)
    caption = session.lake.polars("clip_captions").filter(pl.col("clip_id") == row["clip_id"])["caption"][0]
    vector = padded(np.array(row["vector"], np.float32)[: row["dimensions"]])
    by_vector = session.lake.search("zzz", vector=vector, limit=3)
    assert by_vector["clip_id"][0].as_py() == row["clip_id"]
    both = session.lake.search(caption, vector=vector, limit=3)
    assert both["clip_id"][0].as_py() == row["clip_id"]
    assert both["score"][0].as_py() > by_vector["score"][0].as_py()


# --- what follows changes the lake ------------------------------------------------------------------------------


def status_of(session: Session, asset: str, partition: str) -> StaleStatus:
    definitions = session._definitions
    graph = definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(session.instance, graph, LoadingContextForTest(session.instance))
    return resolver.get_status(dg.AssetKey(asset), partition)


def test_a_new_snapshot_makes_the_checkpoint_stale_and_evaluating_again_trains_nothing(session, place, synthetic_video):
    assert status_of(session, "checkpoints", MODEL) == StaleStatus.FRESH
    trained = session.lake.version("checkpoints")
    session.run("train", RunSummary(), partition=MODEL)
    assert session.lake.version("checkpoints") == trained

    synthetic_video(place / "synthetic_videos", "new.mp4", 7)
    bring_up_to_date(session, place / "synthetic_videos")
    assert status_of(session, "checkpoints", MODEL) == StaleStatus.STALE
    assert session.lake.version("checkpoints") == trained, "a stale model is trained anew when somebody asks for it"


def test_another_active_checkpoint_makes_all_vectors_and_scores_anew(session):
    summary = RunSummary()
    session.train("viclip-tiny", "all", summary)
    assert summary.failed_runs == {}
    rows = session.lake.polars("checkpoints").sort("written_at").to_dicts()
    first, second = (row["checkpoint_id"] for row in rows)
    assert {model for table in VECTORS for model in session.lake.polars(table)["model"]} == {first}, (
        "a newly trained model is not active yet"
    )

    from resources.models.activation import activate_named

    activate_named(session.instance, session.lake, session.resources["aligner"], second)
    vectors = session.lake.dataset("clip_embeddings").count_rows()
    pending = {stage: number["pending"] for stage, number in session.counts().items()}
    assert [pending[table] for table in VECTORS] == [vectors, vectors]
    summary = bring_up_to_date(session)
    assert [summary.rows[table]["changed"] for table in VECTORS] == [vectors, vectors]
    assert {model for table in VECTORS for model in session.lake.polars(table)["model"]} == {second}
    assert set(session.lake.polars("clip_scores").filter(score="video_text_similarity")["model"]) == {second}


def test_a_checkpoint_whose_files_were_changed_is_not_used(session, tmp_path):
    (active,) = session.lake.polars("active_checkpoint").to_dicts()
    weights = Path(active["path"], "model.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + b"\x00\x00\x80\x3f")
    try:
        from resources.models.aligner import _encoder

        _encoder.cache_clear()
        with pytest.raises(ModelUnavailable, match="files have changed"):
            session.resources["aligner"].encoder(session.lake, session.resources["aligner"].active(session.lake))
    finally:
        weights.write_bytes(content)


def test_vectors_and_scores_are_made_from_rows_of_their_batch(session, reads):
    made = {}
    for table in (*VECTORS, "clip_scores"):
        made[table] = session.lake.polars(table)[TABLES[table].key].sort().to_list()
        session.lake.delete(table, made[table])
    batches = session.lake.polars("sources")["ingest_batch"].unique().to_list()
    session.instance.add_dynamic_partitions("ingest_batch", batches)
    reads.clear()
    for batch in batches:
        session.run("ingest", RunSummary(), partition=batch)
    assert {table for table, is_of_batch in reads if not is_of_batch} == set()
    for table, keys in made.items():
        assert sorted(session.lake.polars(table)[TABLES[table].key]) == keys
