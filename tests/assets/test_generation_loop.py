"""A lake trains a model that generates videos, samples it, and generates from the terminal.

Training is cut to a few steps: what a model learns is shown in benchmarks/generation_tiny.py, here it is what becomes
of it.
"""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from safetensors.torch import load_file
from typer.testing import CliRunner

from assets.partitions import model_key
from internvid.generation.recipe import GENERATION_RECIPES
from orchestration.cli.app import app
from orchestration.cli.session import RunSummary, Session
from resources.catalog.files import register
from resources.incremental.faults import ModelUnavailable
from resources.models.generator import Generators
from resources.training.trainer import Trainer

pytestmark = pytest.mark.slow

GENERATOR = model_key("t2v-tiny", "all")
PROMPTS = ["A red square moves to the left.", "A blue star moves up."]
SAMPLING = {"prompts": PROMPTS, "seeds": [0, 7], "denoiser_calls": 2}


@pytest.fixture(scope="module")
def session(place: Path, open_session: Callable[[], Session], synthetic_video: Callable[..., Path]) -> Session:
    """A lake of four videos with a generator, and videos of it. It trains no other model."""
    folder = place / "synthetic_videos"
    folder.mkdir(parents=True)
    for number in range(4):
        synthetic_video(folder, f"{number}.mp4", number)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("INTERNVID_FIRST_MODEL", "")
        session = open_session()
    session.resources["trainer"] = Trainer(max_steps=3, threads=1)
    register(session.lake, session.media, [str(folder)], run_id="test")
    assert session.bring_up_to_date().failed_runs == {}
    train(session)
    return session


def train(session: Session, recipe: str = "t2v-tiny") -> None:
    summary = RunSummary()
    session.train_generator(recipe, "all", summary, sampling=SAMPLING)
    assert summary.failed_runs == {}


def test_the_row_and_the_receipt_say_what_the_generator_was_made_from(session):
    (row,) = session.lake.polars("generation_checkpoints").to_dicts()
    assert (row["generator"], row["image_model"], row["steps"]) == (GENERATOR, None, 3)
    receipt = json.loads(Path(row["path"], "receipt.json").read_text())
    assert receipt["snapshot"] == row["snapshot"]
    assert receipt["snapshot"] in session.lake.tags()
    assert (
        receipt["recipe"] == session.resources["trainer"].generator_as_trained(GENERATION_RECIPES["t2v-tiny"]).version
    )
    assert receipt["clips"] == row["clips"] > 0


def test_each_prompt_with_each_seed_is_a_video_of_the_lake(session):
    rows = session.lake.polars("generated_videos").to_dicts()
    (checkpoint,) = session.lake.polars("generation_checkpoints").to_dicts()
    assert {(row["prompt"], row["seed"]) for row in rows} == {(prompt, seed) for prompt in PROMPTS for seed in (0, 7)}
    assert {row["checkpoint_id"] for row in rows} == {checkpoint["checkpoint_id"]}
    assert len({row["mp4"] for row in rows}) == 4
    for row in rows:
        with av.open(BytesIO(row["mp4"])) as container:
            assert len(list(container.decode(video=0))) == row["frames"] == 16
    last = session.instance.get_latest_materialization_event(dg.AssetKey("generated_videos"))
    assert last is not None
    assert last.asset_materialization is not None
    assert "data:image/gif;base64," in last.asset_materialization.metadata["videos"].value


def test_training_again_trains_and_samples_nothing(session):
    tables = ("generation_checkpoints", "generated_videos")
    before = [session.lake.version(table) for table in tables]
    train(session)
    assert [session.lake.version(table) for table in tables] == before


def test_a_recipe_that_needs_an_image_model_says_so(session):
    train(session, "t2v-sd")
    (skipped,) = session.lake.query(
        "select * from attempts where stage = 'generation_checkpoints'", tables=["attempts"]
    ).to_pylist()
    assert "set INTERNVID_IMAGE_MODEL" in skipped["message"]


def test_the_command_writes_the_same_video_as_the_lake_holds(session, tmp_path):
    arguments = ["generate", PROMPTS[0], "--seed", "7", "--denoiser-calls", "2", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--lake", session.lake.root])
    assert done.exit_code == 0, done.output
    path = tmp_path / "a-red-square-moves-to-the-left-7.mp4"
    assert str(path) in done.output
    rows = session.lake.query(
        "select mp4 from generated_videos where prompt = $prompt and seed = 7",
        {"prompt": PROMPTS[0]},
        tables=["generated_videos"],
    ).to_pylist()
    assert decoded(path.read_bytes()) == pytest.approx(decoded(rows[0]["mp4"]), abs=2)
    done = CliRunner().invoke(app, ["generate", "--parameters", "--lake", session.lake.root])
    assert done.exit_code == 0, done.output
    assert "temporal.attention.to_q.weight" in done.output
    assert "added" in done.output.splitlines()[-1]
    done = CliRunner().invoke(app, ["generate", PROMPTS[0], "--model", "another", "--lake", session.lake.root])
    assert done.exit_code == 2
    assert "is neither a generator of this lake" in done.output


def decoded(mp4: bytes) -> list[float]:
    with av.open(BytesIO(mp4)) as container:
        return [float(frame.to_ndarray(format="rgb24").mean()) for frame in container.decode(video=0)]


def test_two_processes_train_the_same_generator(session, place):
    (row,) = session.lake.polars("generation_checkpoints").to_dicts()
    clips = session.lake.polars("subsets").filter(subset="all", split="train")["clip_id"].sort().to_list()
    folder = place / "two_processes"

    @dg.asset
    def trained_by_two(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        trainer = Trainer(max_steps=3, threads=1, processes=2)
        recipe = GENERATION_RECIPES["t2v-tiny"]
        trainer.train_generator(context, session.lake, recipe, clips, snapshot=row["snapshot"], folder=folder)
        return dg.MaterializeResult()

    assert dg.materialize([trained_by_two]).success
    alone = load_file(Path(row["path"]) / "model.safetensors")
    together = load_file(folder / "checkpoint" / "model.safetensors")
    assert json.loads((folder / "checkpoint" / "receipt.json").read_text())["ranks"] == 2
    assert alone.keys() == together.keys()
    # Only the order of additions differs; Adam's first steps turn differences of tiny gradients into whole ones.
    apart = [(alone[name] - together[name]).abs().mean().item() for name in alone]
    assert max(apart) < 1e-4


def test_a_generator_whose_files_have_changed_is_refused(session):
    (row,) = session.lake.polars("generation_checkpoints").to_dicts()
    config = Path(row["path"], "config.json")
    text = config.read_text()
    try:
        config.write_text(text.replace('"seed": 42', '"seed": 43'))
        with pytest.raises(ModelUnavailable, match="files have changed"):
            Generators(device="cpu").loaded(session.lake, row["checkpoint_id"])
    finally:
        config.write_text(text)


# --- what follows changes the lake ------------------------------------------------------------------------------


def test_a_changed_subset_makes_the_generator_stale_and_training_makes_another(session, place, synthetic_video):
    assert status_of(session) == StaleStatus.FRESH
    synthetic_video(place / "synthetic_videos", "new.mp4", 7)
    register(session.lake, session.media, [str(place / "synthetic_videos")], run_id="test")
    assert session.bring_up_to_date().failed_runs == {}
    assert status_of(session) == StaleStatus.STALE
    broken = next(file for file in (place / "synthetic_videos").glob("*.mp4") if file.name in trained_files(session))
    broken.write_bytes(broken.read_bytes()[:3000])
    train(session)
    first, second = session.lake.polars("generation_checkpoints").sort("written_at").to_dicts()
    assert first["provenance"] != second["provenance"]
    assert session.lake.polars("generated_videos").height == 8, "videos of the earlier one stay"
    assert Generators(device="cpu").loaded(session.lake).checkpoint_id == second["checkpoint_id"]
    # The broken file's clips were left out of the second, and are named.
    left_out = session.lake.query(
        "select * from attempts where stage = 'generation_clips'", tables=["attempts"]
    ).to_pylist()
    receipt = json.loads(Path(second["path"], "receipt.json").read_text())
    assert len(left_out) == receipt["unreadable"] > 0
    clips = session.lake.polars("clips").join(session.lake.polars("raw_videos"), on="video_id")
    of_file = clips.filter(pl.col("path") == str(broken))["clip_id"].to_list()
    assert {row["label"] for row in left_out} == set(of_file)
    assert {row["provenance"] for row in left_out} == {second["provenance"]}
    assert {row["error_class"] for row in left_out} == {"UnreadableVideo"}
    chosen = session.lake.polars("subsets").filter(subset="all", split="train").height
    assert second["clips"] == chosen - len(of_file)


def trained_files(session: Session) -> set[str]:
    videos = session.lake.polars("subsets").filter(subset="all", split="train")["video_id"].implode()
    paths = session.lake.polars("raw_videos").filter(pl.col("video_id").is_in(videos))["path"]
    return {Path(path).name for path in paths}


def status_of(session: Session) -> StaleStatus:
    graph = session._definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(session.instance, graph, LoadingContextForTest(session.instance))
    return resolver.get_status(dg.AssetKey("generation_checkpoints"), GENERATOR)
