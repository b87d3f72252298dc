"""Captions by models of `transformers`, through Dagster: one at each scale, and what another one costs."""

from pathlib import Path

import polars as pl
import pytest
from tiny_captioners import WORDS, blip, qwen_2_5_vl

from orchestration.cli.session import Session
from resources.models.hub_captioner import HubCaptioner

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models tiny-blip and tiny-qwen."""
    folder = tmp_path_factory.mktemp("models")
    blip(folder / "tiny-blip")
    qwen_2_5_vl(folder / "tiny-qwen")
    return folder


def written_by(session: Session) -> dict[str, dict[str, str]]:
    """What -> key -> the run that wrote the row."""
    captions = session.lake.polars("frame_captions")
    parts = {scale: captions.filter(scale=scale) for scale in ("coarse", "fine", "clip")}
    parts |= {"summaries": session.lake.polars("clip_captions"), "scores": session.lake.polars("clip_scores")}
    return {name: dict(rows.select(pl.first(), "run_id").rows()) for name, rows in parts.items()}


def test_two_models_caption_at_their_scales_and_another_fine_one_leaves_what_does_not_rest_on_it(
    empty_session, open_session, ingest, synthetic_video, folder, models
):
    synthetic_video(folder, "one.mp4", 1)
    short = {"max_new_tokens": 6}
    coarse = HubCaptioner(weights=str(models / "tiny-blip"), prompt="a photo of", generation=short)
    fine = HubCaptioner(weights=str(models / "tiny-qwen"), prompt="what is it", generation=short)
    empty_session.resources |= {"coarse_captioner": coarse, "fine_captioner": fine, "clip_captioner": fine}
    ingest(empty_session, folder)
    captions = empty_session.lake.polars("frame_captions")
    assert captions.group_by("scale", "model", "revision", "version").len().sort("scale").rows() == [
        ("clip", "tiny-qwen", fine.revision, fine.version, 2),
        ("coarse", "tiny-blip", coarse.revision, coarse.version, 2),
        ("fine", "tiny-qwen", fine.revision, fine.version, 3),
    ]
    assert {word for caption in captions["caption"] for word in caption.split()} <= set(WORDS)
    assert captions["caption"].n_unique() > 3
    assert captions["output_tokens"].is_between(1, 6).all()
    assert captions.filter(scale="coarse")["prompt_tokens"].unique().to_list() == [5]
    read = dict(captions.group_by("scale").agg(pl.max("prompt_tokens")).rows())
    assert read["coarse"] < read["fine"] < read["clip"]
    spent = empty_session.lake.polars("costs").filter(stage="frame_captions").select("model", "units").rows()
    assert sorted(spent) == [("", 7), ("tiny-blip", 2), ("tiny-qwen", 5)]

    before = written_by(empty_session)
    asked_otherwise = HubCaptioner(weights=str(models / "tiny-qwen"), prompt="a red car", generation=short)
    session = open_session()
    session.resources |= empty_session.resources | {"fine_captioner": asked_otherwise}
    ingest(session, folder)
    after = written_by(session)
    assert {name: set(rows) for name, rows in after.items()} == {name: set(rows) for name, rows in before.items()}
    assert {name for name, rows in after.items() if rows == before[name]} == {"coarse", "clip", "scores"}
    for name in ("fine", "summaries"):
        assert not set(after[name].items()) & set(before[name].items())
    assert set(session.lake.polars("frame_captions").filter(scale="fine")["version"]) == {asked_otherwise.version}
