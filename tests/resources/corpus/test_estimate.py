"""What a collection would take, reckoned by hand from a small ledger."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.stages import ingest_stages
from resources.corpus.estimate.collection import Collection, listed, pending
from resources.corpus.estimate.estimate import Estimate, NothingMeasured, StageCost, estimate
from resources.corpus.estimate.prices import HostedModel, Machine, Prices
from resources.corpus.estimate.prices import Storage as StoragePrice
from resources.corpus.estimate.workers import Workers
from resources.incremental.commits import BYTES_PER_COMMIT
from resources.lake.schema import TABLES
from resources.lake.store import Lake
from resources.media.store import Media

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
INPUTS = {
    "raw_videos": 2,
    "clips": 2,
    "frame_captions": 240,
    "clip_captions": 40,
    "clip_embeddings": 0,
    "caption_embeddings": 0,
}
MODELS = {"coarse_captioner": "A", "fine_captioner": "B", "summariser": "S"}
ONE_CORE = Workers("local", 1)
HOUR = 3600.0

# Two batches of a video of 100 s with 20 clips each. The fine captioner was A before B, in a later run.
COSTS: list[dict[str, Any]] = [
    {"stage": "raw_videos", "units": 2, "wall_seconds": 1.0, "processor_seconds": 1.0},
    {"stage": "clips", "units": 2, "wall_seconds": 20.0, "processor_seconds": 46.0, "video_seconds": 200.0}
    | {"start_wall_seconds": 1.0, "start_processor_seconds": 2.0}
    | {"commit_wall_seconds": 5.0, "commit_processor_seconds": 4.0, "bytes_written": 10 * BYTES_PER_COMMIT - 1},
    {"stage": "frame_captions", "units": 240, "wall_seconds": 124.0, "processor_seconds": 244.0, "run_id": "1"},
    {"stage": "frame_captions", "units": 240, "model": "A", "model_seconds": 120.0, "processor_seconds": 240.0}
    | {"frames": 240, "run_id": "1", "device": "cpu", "output_tokens": 2400},
    {"stage": "frame_captions", "units": 200, "wall_seconds": 54.8, "processor_seconds": 14.8, "run_id": "2"},
    {"stage": "frame_captions", "units": 200, "model": "B", "model_seconds": 50.0, "processor_seconds": 10.0}
    | {"frames": 200, "run_id": "2", "device": "cuda:0", "prompt_tokens": 400, "output_tokens": 1000},
    {"stage": "clip_captions", "units": 40, "wall_seconds": 4.0, "processor_seconds": 4.0},
]


@pytest.fixture
def lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    """Two videos of 100 s with 20 clips each, and the ledger of what they took."""
    lake = new_lake(tmp_path / "lake")
    videos = [{"video_id": video, "source_id": video, "size_bytes": 1_000_000} for video in "vw"]
    clips = [
        {"clip_id": f"{video}{n}", "video_id": video, "end_seconds": 5.0 * (n + 1)} for video in "vw" for n in range(20)
    ]
    frames = [
        {"frame_id": f"{video}{n}", "clip_id": f"{video}{n // 6}", "is_middle": n % 6 == 0, "is_fine": n % 6 != 0}
        for video in "vw"
        for n in range(120)
    ]
    write(lake, "raw_videos", videos)
    write(lake, "clips", clips)
    write(lake, "frames", frames)
    spend(lake, COSTS)
    return lake


def spend(lake: Lake, costs: list[dict[str, Any]]) -> None:
    """Writes rows of the ledger."""
    before = lake.dataset("costs").count_rows()
    zero = dict.fromkeys(
        ("start_wall_seconds", "start_processor_seconds", "commit_wall_seconds", "commit_processor_seconds"), 0.0
    )
    made = {"model": "", "run_id": "1", "partition": "b", "written_at": NOON}
    write(lake, "costs", [made | zero | cost | {"cost_id": str(before + number)} for number, cost in enumerate(costs)])


def write(lake: Lake, table: str, rows: list[dict[str, Any]]) -> None:
    schema = TABLES[table].arrow
    full = [dict.fromkeys(schema.names) | row for row in rows]
    lake.upsert(table, pa.Table.from_pylist(full, schema=schema))


def estimated_cost(
    lake: Lake,
    collection: Collection,
    inputs: dict[str, int] | None = None,
    models: dict[str, str] | None = None,
    workers: Workers = ONE_CORE,
    **given: Any,
) -> Estimate:
    """Estimates the stages that have inputs here."""
    inputs = inputs or INPUTS
    stages = [stage for stage in ingest_stages() if stage.name in inputs]
    return estimate(lake, stages, inputs, MODELS if models is None else models, collection, workers, **given)


def by_stage(estimated: Estimate) -> dict[str, StageCost]:
    return {stage.stage: stage for stage in estimated.stages}


# --- time -------------------------------------------------------------------------------------------------------


def test_time_grows_with_video_and_inputs_and_counts_the_models_that_are_set(lake: Lake) -> None:
    # 3600 times the lake's video, in half as many videos.
    estimated = estimated_cost(lake, Collection(3600, 3600 * 200.0, batches=10))
    assert (estimated.video_hours, estimated.measured_videos, estimated.runs) == (pytest.approx(200), 2, 1)
    stages = by_stage(estimated)
    assert {name: stages[name].inputs for name in INPUTS} == {
        "raw_videos": 3600,
        "clips": 3600,
        "frame_captions": 240 * 3600,
        "clip_captions": 40 * 3600,
        "clip_embeddings": 0,
        "caption_embeddings": 0,
    }
    assert stages["raw_videos"].processor_hours == pytest.approx(0.5)
    clips = stages["clips"]
    assert clips.processor_hours == pytest.approx(44 + 10 * 2 / HOUR)  # 40 s of work and 4 of commits; a start a batch
    assert clips.seconds_per_unit == pytest.approx(40)
    assert (clips.worker_hours, clips.commit_hours) == (pytest.approx(40), pytest.approx(5))
    assert clips.start_hours == pytest.approx(10 * 1 / HOUR)
    # Its own part: 8.8 s over 440 captions. A of 40 middle frames, at 1 s of the processor; B of 200, at 0.05 s.
    captions = stages["frame_captions"]
    assert captions.processor_hours == pytest.approx(4.8 + 40 + 10)
    assert captions.seconds_per_unit == pytest.approx(54.8 / 240)
    coarse, fine = captions.models
    assert (coarse.model, coarse.hours, coarse.where, coarse.output_tokens) == (
        "A",
        pytest.approx(20),
        "cpu",
        1_440_000,
    )
    assert (fine.model, fine.hours, fine.frames_per_second) == ("B", pytest.approx(50), pytest.approx(4))
    assert (fine.prompt_tokens, fine.output_tokens) == (1_440_000, 3_600_000)
    assert estimated.gpu_hours == pytest.approx(50)
    # A GPU is waited for as long as its model takes, and not as long as its processor does.
    assert captions.worker_hours == pytest.approx(4.8 + 40 + 50)


def test_what_a_run_takes_beside_its_units_is_told_by_runs_of_different_sizes(lake: Lake) -> None:
    costs = [(10, 7.0), (20, 9.0), (80, 21.0)]  # 5 s, and 0.2 s for each
    spend(lake, [{"stage": "speech", "units": n, "wall_seconds": s, "processor_seconds": s} for n, s in costs])
    stages = by_stage(estimated_cost(lake, Collection(1000, 1e5, batches=4), INPUTS | {"speech": 2}))
    speech = stages["speech"]
    assert speech.processor_hours == pytest.approx((4 * 5 + 1000 * 0.2) / HOUR)
    assert (speech.runs, speech.measured_inputs) == (3, 110)
    assert (speech.lowest, speech.highest) == (pytest.approx(0.2), pytest.approx(0.2))
    assert speech.relative_error == pytest.approx(0, abs=1e-6)
    assert by_stage(estimated_cost(lake, Collection(1000, 1e5)))["clips"].relative_error is None  # a single run


def test_publishing_counts_as_it_was_until_its_growth_is_known(lake: Lake) -> None:
    row = {"stage": "statistics", "units": 40, "wall_seconds": 3.0, "processor_seconds": 2.0}
    spend(lake, [row])
    estimated = estimated_cost(lake, Collection(20, 2000.0))
    assert by_stage(estimated)["statistics"].processor_hours == pytest.approx(2 / HOUR)
    assert "how much it grows" in estimated.unmeasured["statistics"]
    spend(lake, [row | {"units": 80, "processor_seconds": 2.4}])  # a line goes through any two
    assert "statistics" in estimated_cost(lake, Collection(20, 2000.0)).unmeasured
    spend(lake, [row | {"units": 160, "processor_seconds": 3.2}])  # 1.6 s, and 0.01 s for each clip
    estimated = estimated_cost(lake, Collection(20, 2000.0))
    assert by_stage(estimated)["statistics"].processor_hours == pytest.approx((1.6 + 0.01 * 400) / HOUR)
    assert "statistics" not in estimated.unmeasured


def test_what_was_not_measured_is_named_and_not_guessed(lake: Lake) -> None:
    estimated = estimated_cost(lake, Collection(2, 200.0), INPUTS | {"speech": 2}, MODELS | {"fine_captioner": "C"})
    assert "internvid ingest" in estimated.unmeasured["speech"]
    assert "fine_captioner (C)" in estimated.unmeasured["frame_captions"]
    assert "summariser (S)" in estimated.unmeasured["clip_captions"]
    assert "clips" not in estimated.unmeasured
    stages = by_stage(estimated)
    assert stages["frame_captions"].processor_hours == pytest.approx((4.8 + 40) / HOUR)
    assert stages["speech"].processor_hours is None
    assert "clip_embeddings" not in estimated.unmeasured  # nothing to do is not unmeasured


def test_a_lake_that_measured_nothing_says_so(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> None:
    with pytest.raises(NothingMeasured, match="ingest"):
        estimated_cost(new_lake(tmp_path / "lake"), Collection(1, 1.0))


def test_a_commit_of_few_rows_takes_as_long_as_one_of_some_more(lake: Lake) -> None:
    row = {"stage": "speech", "units": 2, "wall_seconds": 9.0, "processor_seconds": 3.0, "bytes_written": 10}
    spend(lake, [row | {"commit_wall_seconds": 0.5, "commit_processor_seconds": 0.1}])
    speech = by_stage(estimated_cost(lake, Collection(1000, 1e5, batches=4), INPUTS | {"speech": 2}))["speech"]
    assert speech.commit_hours == pytest.approx(4 * 0.5 / HOUR)
    assert speech.processor_hours == pytest.approx((4 * 0.1 + 1000 * 1.45) / HOUR)


def test_fingerprints_take_as_long_as_a_video_has_frames(lake: Lake) -> None:
    spend(lake, [{"stage": "fingerprints", "units": 2, "wall_seconds": 2.0, "processor_seconds": 2.0, "frames": 100}])
    stages = by_stage(estimated_cost(lake, Collection(10, 10 * 300.0), INPUTS | {"fingerprints": 2}))
    assert stages["fingerprints"].inputs == 10
    assert stages["fingerprints"].processor_hours == pytest.approx(10 * 3 / HOUR)  # videos of the lake have 100 s


# --- workers ----------------------------------------------------------------------------------------------------


def test_workers_divide_what_can_be_divided_and_nothing_else(lake: Lake) -> None:
    estimated = estimated_cost(lake, Collection(3600, 3600 * 200.0, batches=10))
    stages = by_stage(estimated)

    def wall(stage: str, workers: Workers) -> float:
        return stages[stage].wall_hours(workers)

    serial = 5 + 10 / HOUR
    assert wall("clips", ONE_CORE) == pytest.approx(40 + serial)
    assert wall("clips", Workers("local", 8)) == pytest.approx(5 + serial)
    assert wall("clips", Workers("ray", 80, gpus=4)) == pytest.approx(0.5 + serial)
    assert wall("clips", Workers("local", 8, concurrent_runs=2)) == pytest.approx(5 + serial / 2)
    # A stage without workers is done by one process, however many there are.
    assert wall("raw_videos", ONE_CORE) == wall("raw_videos", Workers("ray", 80)) == pytest.approx(0.5)
    # Models: one process has one GPU; the engine ray has a worker for each.
    captions = 4.8 + 40 + 50
    assert wall("frame_captions", Workers("local", 8)) == pytest.approx(captions)
    assert wall("frame_captions", Workers("ray", 80, gpus=4)) == pytest.approx(captions / 4)
    assert wall("frame_captions", Workers("ray", 80, gpus=4, gpus_per_worker=0.5)) == pytest.approx(captions / 8)
    assert wall("frame_captions", Workers("ray", 80)) == pytest.approx(captions / 80)
    assert replace(estimated, workers=Workers("local", 1)).bottleneck.stage == "frame_captions"
    assert replace(estimated, workers=Workers("ray", 10_000)).bottleneck.stage == "clips"  # its commits


def test_the_machines_for_some_days_are_as_few_as_do_it(lake: Lake) -> None:
    estimated = estimated_cost(lake, Collection(3600, 3600 * 200.0, batches=10))
    assert estimated.machines(days=1000) == 1
    number = estimated.machines(days=1)
    assert number is not None
    assert number > 1
    assert sum(stage.wall_hours(ONE_CORE.times(number)) for stage in estimated.stages) <= 24
    assert sum(stage.wall_hours(ONE_CORE.times(number - 1)) for stage in estimated.stages) > 24
    # The engine ray has one process to commit: no number of machines shortens that.
    assert replace(estimated, workers=Workers("ray", 1)).machines(days=5 / 24) is None


# --- what is to come --------------------------------------------------------------------------------------------


def test_files_and_lists_are_counted_with_their_own_length(
    tmp_path: Path, new_lake: Callable[[Path], Lake], synthetic_video: Callable[..., Path]
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    files = [synthetic_video(folder, f"{number}.mp4", number) for number in range(2)]
    media = Media(root=str(tmp_path / "media"), workers=1)
    of_folder = listed(media, [str(folder), str(files[0])], mean_seconds=100.0)
    assert (of_folder.videos, of_folder.web_videos, of_folder.guessed_videos) == (2, 0, 0)
    assert of_folder.seconds == pytest.approx(6.0)
    assert of_folder.video_bytes == sum(file.stat().st_size for file in files)
    table = tmp_path / "list.csv"
    table.write_text(f"url,duration\nhttps://a.example/1.mp4,60\nhttps://a.example/2.mp4,\n{files[1]},\n")
    of_list = listed(media, [str(table)], mean_seconds=100.0)
    assert (of_list.videos, of_list.web_videos, of_list.guessed_videos) == (3, 2, 1)
    assert of_list.seconds == pytest.approx(60 + 100 + 3)
    with pytest.raises(FileNotFoundError, match="no such file"):
        listed(media, [str(tmp_path / "missing")], mean_seconds=1.0)


def test_pending_videos_bring_units_to_the_stages_after_them(lake: Lake) -> None:
    stages = [stage for stage in ingest_stages() if stage.name in INPUTS]
    come = pending(lake, stages, {"raw_videos": 3, "clips": 1, "frame_captions": 7}, batches=2, mean_seconds=100.0)
    assert (come.videos, come.seconds, come.batches) == (4, 400.0, 2)
    stages_of = by_stage(estimated_cost(lake, come))
    assert stages_of["raw_videos"].inputs == 3
    assert stages_of["clips"].inputs == 4
    assert stages_of["frame_captions"].inputs == 4 * 120 + 7
    assert stages_of["registering"].inputs == 0


# --- storage and money ------------------------------------------------------------------------------------------


def test_storage_grows_with_the_tables_on_disk_their_indexes_and_old_versions(lake: Lake) -> None:
    on_disk = sum(file.stat().st_size for file in Path(lake.root, "frames.lance", "data").rglob("*.lance"))
    first = {table.name: table for table in estimated_cost(lake, Collection(20, 2000.0)).storage.tables}
    assert (first["frames"].rows, first["frames"].bytes, first["frames"].index_bytes) == (2400, on_disk * 10, None)
    assert first["frames"].old_bytes == first["frames"].bytes  # maintenance will write every row once more
    assert (first["raw_videos"].rows, "speech" in first) == (20, False)
    write(lake, "frames", [{"frame_id": "later", "clip_id": "v1"}])
    # A file with one row tells what each file takes beside its rows.
    two_files = {table.name: table for table in estimated_cost(lake, Collection(20, 2000.0)).storage.tables}
    assert two_files["frames"].bytes < on_disk / 240 * 2410
    lake.optimize()
    write(lake, "frames", [{"frame_id": "latest", "clip_id": "v1"}])
    lake.optimize()  # the files of four versions
    estimated = estimated_cost(lake, Collection(20, 2000.0))
    maintained = {table.name: table for table in estimated.storage.tables}
    indexes = {index.field_names[0]: index for index in lake.dataset("frames").describe_indices()}
    of_row = sum(index.total_size_bytes / index.num_rows_indexed for index in indexes.values())
    assert maintained["frames"].index_bytes == pytest.approx(of_row * 2420, rel=1e-6)
    assert maintained["frames"].old_bytes > maintained["frames"].bytes
    storage = estimated.storage
    assert storage.video_bytes == 20_000_000
    assert storage.total_bytes == sum(table.total_bytes for table in storage.tables) + storage.published_bytes
    kept = estimated_cost(lake, Collection(20, 2000.0, video_bytes=5), are_videos_kept=True).storage
    assert kept.total_bytes == storage.total_bytes + 5
    assert storage.bytes_by_group.keys() == {"ingest", "video"}


def test_money_is_that_of_machines_while_they_are_held_of_requests_and_of_storage(lake: Lake) -> None:
    machine = Machine(cpus=4, gpus=1, per_hour=2.0)
    prices = Prices(
        currency="EUR",
        machines={"m": machine},
        storage=StoragePrice(per_gb_month=0.5),
        models={"B": HostedModel(per_1000_requests=1.0, per_1000_output_tokens=3.0)},
    )
    estimated = estimated_cost(
        lake,
        Collection(3600, 3600 * 200.0, batches=10),
        workers=Workers("ray", 4, 1).times(3),
        prices=prices,
        machine=machine,
    )
    stages = by_stage(estimated)
    of_model = 200 * 3.6 * 1.0 + 3_600_000 / 1000 * 3.0  # 200 * 3600 requests
    wall = stages["frame_captions"].wall_hours(estimated.workers)
    assert estimated.money_of(stages["frame_captions"]) == pytest.approx(wall * 3 * 2.0 + of_model)
    assert estimated.money == pytest.approx(estimated.wall_hours * 6.0 + of_model)
    assert estimated.money_per_month == pytest.approx(estimated.storage.total_bytes / 1e9 * 0.5)
    assert replace(estimated, prices=None).money is None
