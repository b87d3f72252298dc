"""What a collection would cost, reckoned by hand from a small ledger."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.stages import ingest_stages
from resources.corpus.estimate import Estimate, NothingMeasured, estimate
from resources.lake.schema import TABLES
from resources.lake.store import Lake

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


@pytest.fixture
def lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    """Two videos of 100 s with 20 clips each, and the ledger of what they took; the fine captioner was A before B."""
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
    costs = [
        {"stage": "raw_videos", "units": 2, "wall_seconds": 1.0, "processor_seconds": 1.0},
        {"stage": "clips", "units": 2, "wall_seconds": 20.0, "processor_seconds": 40.0, "video_seconds": 200.0}
        | {"frames": 5000},
        {"stage": "frame_captions", "units": 240, "wall_seconds": 124.0, "run_id": "1"},
        {"stage": "frame_captions", "units": 240, "model": "A", "model_seconds": 120.0, "frames": 240, "run_id": "1"}
        | {"device": "cpu", "output_tokens": 2400},
        # B at the fine scale, in a later run.
        {"stage": "frame_captions", "units": 200, "wall_seconds": 54.8, "run_id": "2"},
        {"stage": "frame_captions", "units": 200, "model": "B", "model_seconds": 50.0, "frames": 200, "run_id": "2"}
        | {"device": "cuda:0", "prompt_tokens": 400, "output_tokens": 1000},
        {"stage": "clip_captions", "units": 40, "wall_seconds": 4.0},
    ]
    write(lake, "raw_videos", videos)
    write(lake, "clips", clips)
    write(lake, "frames", frames)
    ledger = [
        {"model": "", "run_id": "1", "written_at": NOON} | cost | {"cost_id": str(number)}
        for number, cost in enumerate(costs)
    ]
    write(lake, "costs", ledger)
    return lake


def estimated_cost(lake: Lake, inputs: dict[str, int], models: dict[str, str], **size: float) -> Estimate:
    """Estimates the stages that have inputs here."""
    return estimate(lake, [stage for stage in ingest_stages() if stage.name in inputs], inputs, models, **size)


def write(lake: Lake, table: str, rows: list[dict[str, Any]]) -> None:
    schema = TABLES[table].arrow
    full = [dict.fromkeys(schema.names) | row for row in rows]
    lake.upsert(table, pa.Table.from_pylist(full, schema=schema))


def test_time_grows_with_video_and_inputs_and_counts_the_models_that_are_set(lake: Lake) -> None:
    estimated = estimated_cost(lake, INPUTS, MODELS, videos=3600, minutes=200 / 60)  # twice as long as the lake's
    assert estimated.video_hours == pytest.approx(200)
    assert (estimated.measured_videos, estimated.measured_hours, estimated.runs) == (2, 200 / 3600, 1)
    by_stage = {stage.stage: stage for stage in estimated.stages}
    times_larger = 3600 * 200 / 200
    assert {name: stage.inputs for name, stage in by_stage.items()} == {
        "raw_videos": 3600,
        "clips": 3600,
        "frame_captions": 240 * times_larger,
        "clip_captions": 40 * times_larger,
        "clip_embeddings": 0,
        "caption_embeddings": 0,
    }
    assert by_stage["raw_videos"].wall_hours == pytest.approx(0.5)
    assert by_stage["clips"].wall_hours == pytest.approx(20)
    assert by_stage["clips"].processor_hours == pytest.approx(40)
    # Its own part: 8.8 s over 440 captions. A of 40 middle frames, at 0.5 s; B of 200, at 0.25 s.
    assert by_stage["frame_captions"].wall_hours == pytest.approx(4.8 + 20 + 50)
    coarse, fine = by_stage["frame_captions"].models
    assert (coarse.model, coarse.hours, coarse.where, coarse.output_tokens) == (
        "A",
        pytest.approx(20),
        "cpu",
        1_440_000,
    )
    assert (fine.model, fine.hours, fine.frames_per_second) == ("B", pytest.approx(50), pytest.approx(4))
    assert (fine.prompt_tokens, fine.output_tokens) == (1_440_000, 3_600_000)
    assert estimated.gpu_hours == pytest.approx(50)
    assert estimated.server_hours == 0
    assert estimated.machines(days=1) == 5  # 99.3 hours
    assert estimated.machines(days=100) == 1


def test_what_was_not_measured_is_named_and_not_guessed(lake: Lake) -> None:
    estimated = estimated_cost(lake, INPUTS | {"speech": 2}, MODELS | {"fine_captioner": "C"}, videos=2)
    assert estimated.unmeasured == ["speech", "fine_captioner (C)", "summariser (S)"]
    (captions,) = (stage for stage in estimated.stages if stage.stage == "frame_captions")
    assert captions.wall_hours == pytest.approx((4.8 + 20) / 3600)
    (speech,) = (stage for stage in estimated.stages if stage.stage == "speech")
    assert (speech.wall_hours, speech.processor_hours) == (None, None)


def test_room_grows_with_the_tables_on_disk_and_the_video_files(lake: Lake) -> None:
    estimated = estimated_cost(lake, INPUTS, MODELS, videos=20)
    stored = {part.name: part for part in estimated.stored}
    on_disk = sum(file.stat().st_size for file in Path(lake.root, "frames.lance", "data").rglob("*") if file.is_file())
    assert (stored["frames"].rows, stored["frames"].bytes) == (2400, on_disk * 10)
    assert (stored["raw_videos"].rows, stored["video files"].bytes) == (20, 20_000_000)
    assert "speech" not in stored
    assert estimated.bytes == sum(part.bytes for part in estimated.stored)


def test_a_lake_that_measured_nothing_says_so(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> None:
    lake = new_lake(tmp_path / "lake")
    with pytest.raises(NothingMeasured, match="ingest"):
        estimated_cost(lake, INPUTS, MODELS, videos=1)
