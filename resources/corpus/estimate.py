"""Estimates the cost of a collection of a given size from this lake's ledger of costs and its tables.

A stage's time has two parts. The time of its models is recorded for each model, so a model that was replaced does not
count, and a model that never ran is reported as missing. The rest is the stage's own time: reading, decoding,
committing. Both grow with the stage's inputs, or with the seconds of video where it reads video.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.lake.schema import ATTEMPTS, SOURCES, Table
from resources.lake.statements import statement

if TYPE_CHECKING:
    from resources.incremental.declaration import StageDefinition
    from resources.lake.store import Lake

KEYS_OF_VIDEOS = ("source_id", "video_id")  # a table with such a key has one row for a video, whatever its length


class NothingMeasured(Exception):
    """The lake's ledger has no costs to estimate from."""


@dataclass(frozen=True)
class ModelCost:
    """Cost of a model.

    hours: None where the model has not run in this lake. where: the device it ran on, or the server's address.
    frames_per_second: measured; None where it reads no frames.
    """

    provider: str
    model: str
    where: str | None
    inputs: int
    hours: float | None
    frames_per_second: float | None
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class StageCost:
    """Cost of a stage.

    wall_hours: on one machine like the measured one, without unmeasured models; None where the stage was not measured.
    processor_hours: summed over all cores.
    """

    stage: str
    inputs: int
    measured_inputs: int
    wall_hours: float | None
    processor_hours: float | None
    models: tuple[ModelCost, ...]


@dataclass(frozen=True)
class Stored:
    """Estimated size of a table, or of the video files. bytes: on disk."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Estimate:
    """An estimate. measured_videos, measured_hours: videos, and hours of video, in the lake. runs: measured runs."""

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
        """Hours of waiting for servers."""
        return self._model_hours(lambda where: "://" in where)

    @property
    def bytes(self) -> int:
        return sum(stored.bytes for stored in self.stored)

    @property
    def models(self) -> list[ModelCost]:
        return [model for stage in self.stages for model in stage.models]

    @property
    def unmeasured(self) -> list[str]:
        """Stages and models whose cost is not in the sums."""
        stages = [stage.stage for stage in self.stages if stage.wall_hours is None and stage.inputs]
        return stages + [f"{model.provider} ({model.model})" for model in self.models if model.hours is None]

    def machines(self, days: float) -> int:
        """Returns the number of machines, like the measured one, that need `days` for the collection."""
        return max(1, math.ceil(self.wall_hours / 24 / days))

    def _model_hours(self, is_there: Callable[[str], bool]) -> float:
        return sum(model.hours or 0.0 for model in self.models if is_there(model.where or ""))


def estimate(
    lake: Lake,
    stages: Sequence[StageDefinition],
    inputs: Mapping[str, int],
    models: Mapping[str, str],
    *,
    videos: int,
    minutes: float | None = None,
) -> Estimate:
    """Estimates the cost of a collection.

    stages: those of ingest batches, in order. inputs: number of inputs in the lake, by stage. models: model's name, by
    enabled provider. videos: number of videos. minutes: mean length of a video; None: as in the lake.
    Raises NothingMeasured where no video has been cut, or the ledger is empty.
    """
    held = lake.query(statement("corpus/plan_quantities")).to_pylist()[0]
    spent = {row["stage"]: row for row in lake.query(statement("corpus/costs_of_stages")).to_pylist()}
    asked = {(row["stage"], row["model"]): row for row in lake.query(statement("corpus/costs_of_models")).to_pylist()}
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
        stages=tuple(collection.stage(stage, inputs[stage.name], models) for stage in stages),
        stored=(*collection.tables(lake, _stored_tables(stages)), collection.files()),
    )


@dataclass(frozen=True)
class _Collection:
    """The collection. held: the lake's quantities. spent, asked: the ledger, by stage and by (stage, model)."""

    videos: int
    seconds: float
    held: Mapping[str, Any]
    spent: Mapping[str, Mapping[str, Any]]
    asked: Mapping[tuple[str, str], Mapping[str, Any]]

    @property
    def times_larger(self) -> float:
        """Ratio of the collection's seconds of video to the lake's."""
        return self.seconds / self.held["video_seconds"]

    def stage(self, stage: StageDefinition, inputs_here: int, models: Mapping[str, str]) -> StageCost:
        name = stage.name
        inputs = self.videos if stage.cost.per_video else round(inputs_here * self.times_larger)
        of_models = tuple(
            self.model(stage, provider, models[provider]) for provider in stage.cost.requests if provider in models
        )
        spent = self.spent.get(name)
        if spent is None or not spent["units"]:
            return StageCost(name, inputs, 0, None, None, of_models)
        in_models = sum(row["model_seconds"] for (asked_by, _), row in self.asked.items() if asked_by == name)
        own = self._grown(max(0.0, spent["wall_seconds"] - in_models), spent, inputs)
        wall = own / 3600 + sum(model.hours or 0.0 for model in of_models)
        busy = spent["processors_busy"]
        return StageCost(name, inputs, spent["units"], wall, None if busy is None else wall * busy, of_models)

    def model(self, stage: StageDefinition, provider: str, model: str) -> ModelCost:
        requests, per_video = self.held[stage.cost.requests[provider]], stage.cost.per_video
        share = requests / self.held["videos"]
        inputs = round(self.videos * share if per_video else requests * self.times_larger)
        row = self.asked.get((stage.name, model))
        if row is None or not row["units"]:
            return ModelCost(provider, model, None, inputs, None, None, 0, 0)
        grown = self._grown(row["model_seconds"], row, inputs, share=share if per_video else 1.0)
        frames, taken = row["frames"], row["model_seconds"]
        return ModelCost(
            provider,
            model,
            row["device"],
            inputs,
            grown / 3600,
            frames / taken if frames and taken else None,
            *(round(row[tokens] / row["units"] * inputs) for tokens in ("prompt_tokens", "output_tokens")),
        )

    def _grown(self, seconds: float, row: Mapping[str, Any], inputs: int, *, share: float = 1.0) -> float:
        """Scales seconds spent on the row's inputs to this collection. share: share of its video that is read."""
        if row["video_seconds"]:
            return seconds / row["video_seconds"] * self.seconds * share
        return seconds / row["units"] * inputs

    def tables(self, lake: Lake, tables: Iterable[Table]) -> list[Stored]:
        stored = []
        for table in tables:
            rows, on_disk = rows_and_bytes(lake, table.name)
            has_row_per_video = table.key in KEYS_OF_VIDEOS or table is ATTEMPTS
            larger = self.videos / self.held["videos"] if has_row_per_video else self.times_larger
            if rows:
                stored.append(Stored(table.name, round(rows * larger), round(on_disk * larger)))
        return stored

    def files(self) -> Stored:
        return Stored("video files", self.videos, round(self.held["video_bytes"] * self.times_larger))


def _stored_tables(stages: Iterable[StageDefinition]) -> list[Table]:
    """Returns the tables that grow with the collection: sources, what the stages fill, and attempts."""
    return [SOURCES, *(table for stage in stages for table in stage.outputs), ATTEMPTS]


def rows_and_bytes(lake: Lake, table: str) -> tuple[int, int]:
    """Returns rows and bytes on disk of the table's newest version, without indexes and older versions."""
    dataset = lake.dataset(table)
    files = [file for fragment in dataset.get_fragments() for file in fragment.data_files()]
    sizes = [file.file_size_bytes or _size(lake, table, file.path) for file in files]
    return dataset.count_rows(), sum(sizes)


def _size(lake: Lake, table: str, path: str) -> int:
    """Returns the size of a data file whose manifest does not contain it; 0 in a bucket."""
    file = Path(lake.uri(table), "data", path)
    return file.stat().st_size if file.exists() else 0
