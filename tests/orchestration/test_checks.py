"""The checks over the whole lake: silent where all adds up, and each with a name for what does not."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.checks import whole_lake
from assets.checks.captions import caption_alarms
from assets.stages import ingest_stages
from orchestration.definitions import definitions
from resources.catalog.files import register
from resources.incremental.batch_states import forget_batch_states
from resources.lake.schema import BATCH_STATES, TABLES
from resources.lake.store import Lake
from resources.media.store import Media


@dataclass
class Ingested:
    """A lake that holds one video in one batch."""

    lake: Lake
    batch: str
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def ingest(self) -> None:
        job = self.definitions.resolve_job_def("ingest")
        assert job.execute_in_process(partition_key=self.batch, instance=self.instance).success

    def failing(self) -> dict[str, dict[str, object]]:
        """The checks that do not pass, each with its numbers other than 0."""
        checked = self.definitions.resolve_job_def("check_lake").execute_in_process(instance=self.instance)
        evaluations = checked.get_asset_check_evaluations()
        assert len(evaluations) == 2 * len(ingest_stages()) + len(list(caption_alarms.check_specs)) + 5
        return {
            evaluation.check_name: {name: value.value for name, value in evaluation.metadata.items() if value.value}
            for evaluation in evaluations
            if not evaluation.passed
        }


@pytest.fixture(scope="module")
def ingested(synthetic_video: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    folder = tmp_path_factory.mktemp("checks")
    lake, media = Lake(root=str(folder / "lake")), Media(root=str(folder / "media"), workers=1)
    (batch,) = register(lake, media, [str(synthetic_video(folder, "video.mp4"))], run_id="test").batches
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("ingest_batch", [batch])
    ingested = Ingested(lake, batch, definitions(resources={"lake": lake, "media": media}), instance)
    ingested.ingest()
    return ingested


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # Clips are made from stored videos: without the video they are orphans, not pending.
        ("raw_videos", {"raw_videos_counts_add_up", "no_orphan_rows"}),
        # The video is cut again; the clip's frames and captions hang in the air.
        ("clips", {"clips_counts_add_up", "dialogues_counts_add_up", "no_orphan_rows", "keys_equal_clip_keys"}),
        # The clip's caption and the dialogue rest on all captions of the frames.
        (
            "frame_captions",
            {
                "frame_captions_counts_add_up",
                "clip_captions_counts_add_up",
                "dialogues_counts_add_up",
                "keys_equal_frame_keys",
            },
        ),
        ("clip_captions", {"clip_captions_counts_add_up", "dialogues_counts_add_up", "keys_equal_clip_keys"}),
    ],
)
@pytest.mark.slow
def test_a_row_taken_away_fails_the_checks_that_it_concerns_and_the_next_ingest_heals_it(
    ingested: Ingested, table: str, expected: set[str]
) -> None:
    assert ingested.failing() == {}
    key = ingested.lake.polars(table)[TABLES[table].key].sort()[0]
    assert ingested.lake.delete(table, [key]) == 1
    failing = ingested.failing()
    assert set(failing) == expected
    assert failing[f"{table}_counts_add_up"]["pending"] == 1
    ingested.ingest()
    assert ingested.failing() == {}
    assert key in ingested.lake.polars(table)[TABLES[table].key]


def test_checking_changes_nothing(ingested: Ingested) -> None:
    corpus = set(TABLES) - {BATCH_STATES.name}  # which keeps what was counted
    before = {table: ingested.lake.version(table) for table in corpus}
    ingested.failing()
    assert {table: ingested.lake.version(table) for table in corpus} == before


@pytest.mark.slow
def test_a_kept_count_that_is_not_what_the_tables_say_is_found_within_a_week(
    ingested: Ingested, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ingested.failing() == {}
    monkeypatch.setattr(whole_lake, "NIGHTS", 1)
    of_clips = ingested.lake.polars(BATCH_STATES.name).filter(stage="clips", partition=ingested.batch)
    ingested.lake.upsert(BATCH_STATES.name, of_clips.with_columns(done=pl.lit(7, pl.Int64)))
    assert ingested.failing()["kept_counts_agree"]["disagreements"] == 1
    forget_batch_states(ingested.lake)
    assert ingested.failing() == {}


def test_materialising_batches_runs_none_of_the_checks_over_the_whole_lake() -> None:
    """Neither the job nor a backfill, which runs an asset with all checks that stand on it."""
    graph = definitions().resolve_asset_graph()
    partitioned = {key for key in graph.materializable_asset_keys if graph.get(key).is_partitioned}
    on_them = {key.name for key in graph.asset_check_keys if key.asset_key in partitioned}
    assert on_them == {"batch_counts_add_up", *(spec.name for spec in caption_alarms.check_specs), "captions_are_sound"}
