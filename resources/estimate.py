"""What a collection of a given size would cost, reckoned from what this lake measured: its ledger, and its tables.

A stage's time is reckoned in two parts. What its models took is known for each model by itself, so a model that was
changed since counts no more and one that never ran is said to be missing. The rest of the stage's time is its own:
reading, decoding, committing. Both grow with the stage's inputs, or with the seconds of video where it reads video.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.schema import TABLES
from resources.statements import statement

if TYPE_CHECKING:
    from resources.lake import Lake

# Door -> its stage, and what of the lake its model is asked for (a column of sql/operations/plan_quantities.sql).
ASKED = {
    "transcriber": ("speech", "unsubtitled_videos"),
    "translator": ("transcripts", "translated_transcripts"),
    "coarse_captioner": ("frame_captions", "middle_frames"),
    "fine_captioner": ("frame_captions", "fine_frames"),
    "clip_captioner": ("frame_captions", "clips"),
    "summariser": ("clip_captions", "clips"),
    "aligner": ("clip_embeddings", "vectors"),
    "aesthetics": ("clip_scores", "clips"),
    "frame_text_similarity": ("clip_scores", "clips"),
    "text_overlay": ("clip_scores", "clips"),
    "watermark": ("clip_scores", "clips"),
    "safety": ("clip_scores", "clips"),
}
INPUTS_ARE_VIDEOS = ("raw_videos", "clips", "speech")
ROWS_BY_VIDEO = ("sources", "raw_videos", "attempts")
STORED = (
    *ROWS_BY_VIDEO,
    *("clips", "frames", "speech", "transcripts", "frame_captions", "clip_captions", "clip_embeddings", "clip_scores"),
)


class NothingMeasured(Exception):
    """The lake has no ledger to reckon from."""


@dataclass(frozen=True)
class ModelCost:
    """hours: None where the model has not run in this lake. where: the device, or the server's address, it ran on.

    frames_per_second: that it looked at; None where it looks at none.
    """

    door: str
    model: str
    where: str | None
    inputs: int
    hours: float | None
    frames_per_second: float | None
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class StageCost:
    """wall_hours: on one machine like that which measured, without the models that were not measured; None where the
    stage was not. processor_hours: of all cores.
    """

    stage: str
    inputs: int
    measured_inputs: int
    wall_hours: float | None
    processor_hours: float | None
    models: tuple[ModelCost, ...]


@dataclass(frozen=True)
class Stored:
    """A table, or the video files, as it would be. bytes: on disk."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Estimate:
    """measured_videos, measured_hours: of video, what the lake holds. runs: of the stage that cuts, that took."""

    videos: int
    video_hours: float
    measured_videos: int
    measured_hours: float
    runs: int
    stages: tuple[StageCost, ...]
    stored: tuple[Stored, ...]

    @property
    def wall_hours(self) -> float:
        return sum(stage.wall_hours or 0.0 for stage in self.stages)

    @property
    def processor_hours(self) -> float:
        return sum(stage.processor_hours or 0.0 for stage in self.stages)

    @property
    def gpu_hours(self) -> float:
        return self._model_hours(lambda where: where.startswith(("cuda", "mps", "xpu")))

    @property
    def server_hours(self) -> float:
        """Waiting for servers' answers."""
        return self._model_hours(lambda where: "://" in where)

    @property
    def bytes(self) -> int:
        return sum(stored.bytes for stored in self.stored)

    @property
    def models(self) -> list[ModelCost]:
        return [model for stage in self.stages for model in stage.models]

    @property
    def unmeasured(self) -> list[str]:
        """Stages and models that the sums lack."""
        stages = [stage.stage for stage in self.stages if stage.wall_hours is None and stage.inputs]
        return stages + [f"{model.door} ({model.model})" for model in self.models if model.hours is None]

    def machines(self, days: float) -> int:
        """Like that which measured, to be done in so many days."""
        return max(1, math.ceil(self.wall_hours / 24 / days))

    def _model_hours(self, is_there: Callable[[str], bool]) -> float:
        return sum(model.hours or 0.0 for model in self.models if is_there(model.where or ""))


def estimate(
    lake: Lake,
    inputs: Mapping[str, int],
    models: Mapping[str, str],
    *,
    videos: int,
    minutes: float | None = None,
) -> Estimate:
    """For so many videos of so many minutes, None: as long as the lake's.

    inputs: of each stage, in order, how many there are in the lake. models: of each door that is set, its model's name.
    Raises NothingMeasured where no video has been cut, or the ledger is empty.
    """
    held = lake.query(statement("operations/plan_quantities")).to_pylist()[0]
    spent = {row["stage"]: row for row in lake.query(statement("operations/costs_of_stages")).to_pylist()}
    asked = {
        (row["stage"], row["model"]): row for row in lake.query(statement("operations/costs_of_models")).to_pylist()
    }
    if not held["video_seconds"] or "clips" not in spent:
        raise NothingMeasured("nothing has been measured in this lake yet: `internvid ingest` some videos first")
    seconds = videos * (minutes * 60 if minutes is not None else held["video_seconds"] / held["videos"])
    collection = _Collection(videos, seconds, held, spent, asked)
    return Estimate(
        videos=videos,
        video_hours=seconds / 3600,
        measured_videos=held["videos"],
        measured_hours=held["video_seconds"] / 3600,
        runs=spent["clips"]["runs"],
        stages=tuple(collection.stage(name, number, models) for name, number in inputs.items()),
        stored=(*collection.tables(lake), collection.files()),
    )


@dataclass(frozen=True)
class _Collection:
    """The collection to be. held: the lake's quantities. spent, asked: the ledger, by stage and by (stage, model)."""

    videos: int
    seconds: float
    held: Mapping[str, Any]
    spent: Mapping[str, Mapping[str, Any]]
    asked: Mapping[tuple[str, str], Mapping[str, Any]]

    @property
    def times_larger(self) -> float:
        """Than the lake, in seconds of video."""
        return self.seconds / self.held["video_seconds"]

    def stage(self, name: str, inputs_here: int, models: Mapping[str, str]) -> StageCost:
        inputs = self.videos if name in INPUTS_ARE_VIDEOS else round(inputs_here * self.times_larger)
        of_models = tuple(self.model(door, model) for door, model in models.items() if ASKED[door][0] == name)
        spent = self.spent.get(name)
        if spent is None or not spent["units"]:
            return StageCost(name, inputs, 0, None, None, of_models)
        in_models = sum(row["model_seconds"] for (stage, _), row in self.asked.items() if stage == name)
        own = self._grown(max(0.0, spent["wall_seconds"] - in_models), spent, inputs)
        wall = own / 3600 + sum(model.hours or 0.0 for model in of_models)
        busy = spent["processors_busy"]
        return StageCost(name, inputs, spent["units"], wall, None if busy is None else wall * busy, of_models)

    def model(self, door: str, model: str) -> ModelCost:
        stage, quantity = ASKED[door]
        is_of_videos = stage in INPUTS_ARE_VIDEOS
        share = self.held[quantity] / self.held["videos"]
        inputs = round(self.videos * share if is_of_videos else self.held[quantity] * self.times_larger)
        row = self.asked.get((stage, model))
        if row is None or not row["units"]:
            return ModelCost(door, model, None, inputs, None, None, 0, 0)
        grown = self._grown(row["model_seconds"], row, inputs, share=share if is_of_videos else 1.0)
        frames, taken = row["frames"], row["model_seconds"]
        return ModelCost(
            door,
            model,
            row["device"],
            inputs,
            grown / 3600,
            frames / taken if frames and taken else None,
            *(round(row[tokens] / row["units"] * inputs) for tokens in ("prompt_tokens", "output_tokens")),
        )

    def _grown(self, seconds: float, row: Mapping[str, Any], inputs: int, *, share: float = 1.0) -> float:
        """Seconds that were spent on the row's inputs, for this collection's. share: of its video that is read."""
        if row["video_seconds"]:
            return seconds / row["video_seconds"] * self.seconds * share
        return seconds / row["units"] * inputs

    def tables(self, lake: Lake) -> list[Stored]:
        stored = []
        for table in STORED:
            rows, on_disk = rows_and_bytes(lake, table)
            larger = self.videos / self.held["videos"] if table in ROWS_BY_VIDEO else self.times_larger
            if rows:
                stored.append(Stored(table, round(rows * larger), round(on_disk * larger)))
        return stored

    def files(self) -> Stored:
        return Stored("video files", self.videos, round(self.held["video_bytes"] * self.times_larger))


def rows_and_bytes(lake: Lake, table: str) -> tuple[int, int]:
    """Of the table's newest version: rows, and bytes of its files on disk; indexes and older versions come on top."""
    dataset = lake.dataset(TABLES[table].name)
    files = [file for fragment in dataset.get_fragments() for file in fragment.data_files()]
    sizes = [file.file_size_bytes or _size(lake, table, file.path) for file in files]
    return dataset.count_rows(), sum(sizes)


def _size(lake: Lake, table: str, path: str) -> int:
    """Of a data file whose manifest does not tell; 0 in a bucket."""
    file = Path(lake.uri(table), "data", path)
    return file.stat().st_size if file.exists() else 0
