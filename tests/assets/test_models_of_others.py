"""Clips and captions of a lake are embedded through Dagster by models of others; versions name the model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import internvid_process
from tiny_scorers import tiny_clip, tiny_siglip
from tiny_video_text import tiny_transformers_viclip, tiny_x_clip

from orchestration.cli.session import RunSummary, Session
from resources.catalog.files import register
from resources.incremental.faults import ModelUnavailable
from resources.models.activation import activate_named, checkpoint_folder

pytestmark = pytest.mark.slow

MAKERS = {
    "a-clip": tiny_clip,
    "a-siglip": tiny_siglip,
    "a-viclip": tiny_transformers_viclip,
    "an-x-clip": tiny_x_clip,
}


@pytest.fixture(scope="module")
def session(place: Path, open_session, synthetic_video) -> Session:
    """A lake of two videos with captions, and no model."""
    folder = place / "synthetic_videos"
    folder.mkdir(parents=True)
    for number in range(2):
        synthetic_video(folder, f"{number}.mp4", number)
    session = open_session()
    register(session.lake, session.media, [str(folder)], run_id="test")
    assert session.bring_up_to_date().failed_runs == {}
    assert session.lake.polars("clip_embeddings").is_empty()
    return session


@pytest.mark.parametrize("name", list(MAKERS))
def test_an_activated_model_embeds_every_clip_and_caption(session, place, name):
    from internvid.video.jpeg import rgb_of_jpeg
    from internvid.video_text.folders import encoder_digest, load_encoder

    folder = place / "models" / name
    MAKERS[name](folder)
    active = activate_named(session.instance, session.lake, session.resources["aligner"], str(folder))
    assert (active.checkpoint_id, active.digest) == (name, encoder_digest(folder))
    assert session.bring_up_to_date().failed_runs == {}

    encoder = load_encoder(folder)
    clips = session.lake.polars("clips")["clip_id"]
    vectors = session.lake.polars("clip_embeddings")
    assert sorted(vectors["clip_id"]) == sorted(clips)
    assert set(vectors["model"]) == {name}
    assert set(vectors["version"]) == {f"{name}+{active.digest[:8]}+middle-frames"}
    for row in vectors.head(2).to_dicts():
        frames = session.lake.polars("frames").filter(pl.col("clip_id") == row["clip_id"]).sort("pts")
        (expected,) = encoder.encode_videos([np.stack([rgb_of_jpeg(jpeg) for jpeg in frames["jpeg"]])])
        assert row["vector"][: row["dimensions"]] == pytest.approx(expected, abs=1e-5)
    captions = session.lake.polars("caption_embeddings").join(
        session.lake.polars("clip_captions").select("clip_id", "caption"), on="clip_id"
    )
    assert set(captions["model"]) == {name}
    expected = encoder.encode_texts(captions["caption"].to_list())
    stored = np.array(captions["vector"].to_list())[:, : encoder.width]
    np.testing.assert_allclose(stored, expected, atol=1e-5)
    assert all(number["pending"] == 0 for number in session.counts().values())
    found = session.lake.search(
        "zzz", vector=session.resources["aligner"].text_vector(session.lake, active, "noise"), limit=2
    )
    assert found.num_rows == 2


def test_a_chat_is_not_trained_on_the_eyes_of_others_and_the_reason_is_told(session):
    summary = RunSummary()
    session.train_chat("chat-tiny", "all", summary)
    assert summary.failed_runs == {}
    assert session.lake.polars("chat_checkpoints").is_empty()
    (attempt,) = session.lake.polars("attempts").filter(pl.col("stage") == "chat_checkpoints").to_dicts()
    assert (attempt["outcome"], attempt["error_class"]) == ("skipped", "NoSpaceTimeTokens")
    assert "an-x-clip is a model of others" in attempt["message"]


def test_a_model_of_the_hub_is_activated_by_its_id(session, place, monkeypatch):
    """The hub's cache holds it, as after a download; nothing is asked of the network."""
    cache = place / "hub" / "hub" / "models--somebody--tiny-clip"
    snapshot = cache / "snapshots" / ("0123456789" * 4)
    tiny_clip(snapshot, seed=3)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(snapshot.name)
    offline = {"HF_HOME": str(place / "hub"), "HF_HUB_OFFLINE": "1"}
    done = internvid_process("activate", "somebody/tiny-clip", lake=session.lake.root, **offline)
    assert done.returncode == 0, done.stderr
    vectors = 2 * session.lake.polars("clips").height
    assert f"somebody/tiny-clip is active; {vectors} vectors are to be recomputed" in done.stdout
    (active,) = session.lake.polars("active_checkpoint").to_dicts()
    assert (active["checkpoint_id"], Path(active["path"]).name) == ("somebody/tiny-clip", snapshot.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="as a model of the Hugging Face hub it cannot be fetched"):
        checkpoint_folder(session.lake, "somebody/else")
    with pytest.raises(ValueError, match="neither a checkpoint of this lake"):
        checkpoint_folder(session.lake, "else")


def test_a_model_with_more_dimensions_than_the_lake_has_does_not_become_active(session, place):
    before = session.lake.polars("active_checkpoint").to_dicts()
    folder = tiny_clip(place / "models" / "wide", width=1152)
    with pytest.raises(ModelUnavailable, match="1152 dimensions, more than the lake's 768"):
        activate_named(session.instance, session.lake, session.resources["aligner"], str(folder))
    assert session.lake.polars("active_checkpoint").to_dicts() == before
    shutil.rmtree(folder)
