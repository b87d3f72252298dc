"""Estimates what a collection takes: time by stage, storage, and money.

A stage's processor time has four parts: the start of each run (loading models, reading what is pending), its models,
its own work on its inputs, and its commits. A model that was replaced does not count, and one that never ran is named
as missing. Starts and commits are done by one process for each run; models and own work divide among workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resources.catalog.batching import count_batches
from resources.corpus.estimate.collection import Collection
from resources.corpus.estimate.prices import Machine, Prices
from resources.corpus.estimate.rates import Rate, fitted
from resources.corpus.estimate.storage import Storage, stored
from resources.corpus.estimate.workers import Workers
from resources.corpus.published_export import INTERNVID_JSONL
from resources.corpus.report import REPORT
from resources.corpus.statistics import MART
from resources.incremental.commits import BYTES_PER_COMMIT
from resources.incremental.costs import PUBLISHING, REGISTERING, SESSION
from resources.lake.schema import ATTEMPTS, SOURCES, Table
from resources.lake.statements import statement

if TYPE_CHECKING:
    from resources.incremental.declaration import StageDefinition, WorkerKind
    from resources.lake.store import Lake

KEYS_OF_VIDEOS = ("source_id", "video_id")  # a table with such a key has one row for a video, whatever its length
MIN_KNOWN_SHARE = 0.9  # of the processor hours: those of stages with enough runs to tell how much they differ
# Publications and commits of a small lake take what they take at any size, and a line through two of them says nothing:
# growth counts once it is known within half of itself.
MAX_ERROR_OF_GROWTH = 0.5
MAX_MACHINES = 1_000_000


class NothingMeasured(Exception):
    """The lake's ledger has no costs to estimate from."""


@dataclass(frozen=True)
class ModelCost:
    """Cost of a model.

    hours, processor_hours: None where the model has not run in this lake. where: the device it ran on, or the server's
    address. frames_per_second: measured; None where it reads no frames. relative_error: as of a rate.
    """

    provider: str
    model: str
    where: str | None
    inputs: int
    hours: float | None
    processor_hours: float | None
    frames_per_second: float | None
    prompt_tokens: int
    output_tokens: int
    relative_error: float | None = None

    @property
    def is_on_gpu(self) -> bool:
        return (self.where or "").startswith(("cuda", "mps", "xpu"))

    @property
    def worker_hours(self) -> float:
        """Hours of a worker: of the processor; of a GPU or server those in which it is waited for."""
        waits = self.is_on_gpu or "://" in (self.where or "")
        return (self.hours if waits else self.processor_hours) or 0.0


@dataclass(frozen=True)
class StageCost:
    """Cost of a stage, or of registering, publishing, or the session's rest.

    workers: kind of the workers that can divide it; None: one process does it all. inputs: units, of the collection and
    as measured, in `runs` recorded runs. seconds_per_unit: processor seconds of a unit, without starts; lowest,
    highest: in the cheapest and the dearest run. relative_error: as of a rate. start_hours, commit_hours: of the wall,
    in the process of the run. worker_hours: what divides among workers. threads: cores that the measured process kept
    busy.
    missing: why it is not in the sums, and what to run; None where it was measured, or has nothing to do.
    """

    stage: str
    workers: WorkerKind | None
    inputs: int
    measured_inputs: int
    runs: int
    seconds_per_unit: float | None
    lowest: float | None
    highest: float | None
    relative_error: float | None
    processor_hours: float | None
    start_hours: float
    worker_hours: float
    commit_hours: float
    threads: float
    models: tuple[ModelCost, ...] = ()
    missing: str | None = None
    is_of_one_size: bool = False

    @property
    def gpu_hours(self) -> float:
        return sum(model.hours or 0.0 for model in self.models if model.is_on_gpu)

    def wall_hours(self, workers: Workers) -> float:
        """Returns the hours that the stage takes with these workers."""
        is_on_gpu = any(model.is_on_gpu for model in self.models)
        beside = workers.beside(self.workers, threads=self.threads, is_on_gpu=is_on_gpu)
        if self.stage in PUBLISHING:
            beside = 1.0
        return (self.start_hours + self.commit_hours) / self._runs_beside(workers) + self.worker_hours / beside

    def serial_hours(self, workers: Workers) -> float:
        """Returns those of `wall_hours` that more workers do not shorten."""
        divided = self.worker_hours if self.workers is None else 0.0
        beside = workers.beside(None, threads=self.threads, is_on_gpu=False)
        return (self.start_hours + self.commit_hours) / self._runs_beside(workers) + divided / beside

    def _runs_beside(self, workers: Workers) -> int:
        return 1 if self.stage in PUBLISHING else workers.concurrent_runs


@dataclass(frozen=True)
class Estimate:
    """An estimate.

    measured_videos, measured_hours: videos, and hours of video, in the lake. runs: measured runs of ingest batches.
    measured_wall_hours, measured_processor_hours: of the recorded runs together.
    """

    collection: Collection
    batches: int
    measured_videos: int
    measured_hours: float
    runs: int
    measured_wall_hours: float
    measured_processor_hours: float
    stages: tuple[StageCost, ...]
    storage: Storage
    workers: Workers
    prices: Prices | None = None
    machine: Machine | None = None

    @property
    def videos(self) -> int:
        return self.collection.videos

    @property
    def video_hours(self) -> float:
        return self.collection.seconds / 3600

    @property
    def wall_hours(self) -> float:
        return self._wall_hours(self.workers)

    @property
    def processor_hours(self) -> float:
        return sum(stage.processor_hours or 0.0 for stage in self.stages)

    @property
    def gpu_hours(self) -> float:
        return sum(stage.gpu_hours for stage in self.stages)

    @property
    def server_hours(self) -> float:
        """Hours of waiting for servers."""
        return sum(model.hours or 0.0 for model in self.models if "://" in (model.where or ""))

    @property
    def models(self) -> list[ModelCost]:
        return [model for stage in self.stages for model in stage.models]

    @property
    def relative_error(self) -> float | None:
        """Half the interval of 95 % around the processor hours, as a share; None where many have too few runs."""
        known = [stage for stage in self.stages if stage.relative_error is not None]
        hours = sum(stage.processor_hours or 0.0 for stage in known)
        if not known or hours < MIN_KNOWN_SHARE * self.processor_hours:
            return None
        return math.hypot(*((stage.processor_hours or 0.0) * (stage.relative_error or 0.0) for stage in known)) / hours

    @property
    def bottleneck(self) -> StageCost:
        """The stage that takes longest."""
        return max(self.stages, key=lambda stage: stage.wall_hours(self.workers))

    @property
    def unmeasured(self) -> dict[str, str]:
        """Stages that are not, or not as a whole, in the sums -> what to run."""
        return {stage.stage: stage.missing for stage in self.stages if stage.missing}

    def money_of(self, stage: StageCost) -> float | None:
        """Returns what the stage costs: machines as long as it takes, and its hosted models. None without prices."""
        if self.prices is None:
            return None
        of_models = [
            self.prices.models[model.model].of(model) for model in stage.models if model.model in self.prices.models
        ]
        per_hour = 0.0 if self.machine is None else self.machine.per_hour * self.workers.machines
        return stage.wall_hours(self.workers) * per_hour + sum(of_models)

    @property
    def money(self) -> float | None:
        """Of all stages. None without prices."""
        return None if self.prices is None else sum(self.money_of(stage) or 0.0 for stage in self.stages)

    @property
    def money_per_month(self) -> float | None:
        """Of storage. None without its price."""
        if self.prices is None or self.prices.storage is None:
            return None
        return self.storage.total_bytes / 1e9 * self.prices.storage.per_gb_month

    def machines(self, days: float) -> int | None:
        """Returns how many times the machines do it in so many days; None where no number of them does."""
        if self._wall_hours(self.workers.times(MAX_MACHINES)) > 24 * days:
            return None
        too_few, enough = 0, 1
        while self._wall_hours(self.workers.times(enough)) > 24 * days:
            too_few, enough = enough, enough * 2
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            if self._wall_hours(self.workers.times(middle)) > 24 * days:
                too_few = middle
            else:
                enough = middle
        return enough

    def _wall_hours(self, workers: Workers) -> float:
        return sum(stage.wall_hours(workers) for stage in self.stages)


@dataclass(frozen=True)
class Quantities:
    """What the lake has: rows of sql/corpus/plan_quantities.sql, and its videos' mean length and size."""

    held: Mapping[str, Any]

    @classmethod
    def of(cls, lake: Lake) -> Quantities:
        """Raises NothingMeasured where no video has been cut."""
        held = lake.query(statement("corpus/plan_quantities")).to_pylist()[0]
        if not held["video_seconds"]:
            raise NothingMeasured("nothing has been measured in this lake yet: `internvid ingest` some videos first")
        return cls(held)

    @property
    def mean_seconds(self) -> float:
        return self.held["video_seconds"] / self.held["videos"]


def estimate(
    lake: Lake,
    stages: Sequence[StageDefinition],
    inputs: Mapping[str, int],
    models: Mapping[str, str],
    collection: Collection,
    workers: Workers,
    *,
    prices: Prices | None = None,
    machine: Machine | None = None,
    are_videos_kept: bool = False,
    hours_per_batch: float | None = None,
) -> Estimate:
    """Estimates the cost of a collection.

    stages: those of ingest batches, in order. inputs: number of inputs in the lake, by stage. models: model's name, by
    enabled provider. machine: the kind that the workers run on. are_videos_kept: whether video files are copied into
    the media store. Raises NothingMeasured where no video has been cut, or the ledger is empty.
    """
    quantities = Quantities.of(lake)
    runs = _by(lake.query(statement("corpus/costs_of_runs")).to_pylist(), "stage")
    if "clips" not in runs:
        raise NothingMeasured("the lake's ledger has no costs: `internvid ingest` some videos first")
    batches = collection.batches
    if batches is None:
        batches = count_batches(collection.videos, collection.seconds, hours_per_batch=hours_per_batch)
    asked = _by(lake.query(statement("corpus/costs_of_models")).to_pylist(), "stage", "model")
    reckoning = _Reckoning(collection, batches, quantities.held, runs, asked)
    of_stages = [reckoning.stage(stage, inputs[stage.name], models) for stage in stages]
    of_ledger = [row for rows in runs.values() for row in rows]
    return Estimate(
        collection=collection,
        batches=batches,
        measured_videos=quantities.held["videos"],
        measured_hours=quantities.held["video_seconds"] / 3600,
        runs=len(runs["clips"]),
        measured_wall_hours=sum(row["wall_seconds"] for row in of_ledger) / 3600,
        measured_processor_hours=sum(row["processor_seconds"] or 0.0 for row in of_ledger) / 3600,
        stages=(*of_stages, *reckoning.beside_stages()),
        storage=reckoning.storage(lake, stages, are_videos_kept=are_videos_kept),
        workers=workers,
        prices=prices,
        machine=machine,
    )


def _by(rows: Iterable[dict[str, Any]], *columns: str) -> dict[Any, list[dict[str, Any]]]:
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        key = tuple(row[column] for column in columns)
        groups.setdefault(key if len(columns) > 1 else key[0], []).append(row)
    return groups


@dataclass(frozen=True)
class _Reckoning:
    """held: the lake's quantities. runs, asked: the ledger, by stage and by (stage, model)."""

    collection: Collection
    batches: int
    held: Mapping[str, Any]
    runs: Mapping[str, list[dict[str, Any]]]
    asked: Mapping[tuple[str, str], list[dict[str, Any]]] = field(repr=False)

    @property
    def larger(self) -> float:
        """Ratio of the collection's seconds of video to the lake's."""
        return self.collection.seconds / self.held["video_seconds"]

    @property
    def more_videos(self) -> float:
        """Ratio of the collection's number of videos to the lake's."""
        return self.collection.videos / self.held["videos"]

    @property
    def mean_seconds(self) -> float:
        """Mean length of the collection's videos; where there is none, of the lake's."""
        collection = self.collection
        return collection.seconds / collection.videos if collection.videos else self.mean_seconds_here

    @property
    def mean_seconds_here(self) -> float:
        return self.held["video_seconds"] / self.held["videos"]

    def units(self, stage: StageDefinition, inputs_here: int) -> int:
        """Returns the number of the stage's units in the collection. inputs_here: those in the lake."""
        name = stage.name
        if name in self.collection.videos_by_stage:
            return self.collection.videos_by_stage[name]
        if stage.cost.only_web:
            of_web = self.collection.web_videos
            return round(inputs_here * self.more_videos) if of_web is None else of_web
        if stage.cost.per_video:
            return self.collection.videos
        return round(inputs_here * self.larger) + self.collection.units.get(name, 0)

    def stage(self, stage: StageDefinition, inputs_here: int, models: Mapping[str, str]) -> StageCost:
        name, units = stage.name, self.units(stage, inputs_here)
        of_models = tuple(
            self.model(stage, provider, models[provider], units, inputs_here)
            for provider in stage.cost.requests
            if provider in models
        )
        rows = self.runs.get(name, [])
        if not rows:
            missing = f"it never ran in this lake: `internvid ingest` {_videos_to_ingest(stage)}" if units else None
            return _empty(name, stage.workers, units, of_models, missing)
        driver = _driver(rows, per_video=stage.cost.per_video)
        measured = [row for row in rows if row[driver]]
        # A video that is as many times longer has as many times the frames.
        longer = self.mean_seconds / self.mean_seconds_here if driver != "units" else 1.0
        amount = sum(row[driver] for row in rows) / sum(row["units"] for row in rows) * units * longer
        if driver == "video_seconds" and stage.cost.per_video:
            amount = units * self.mean_seconds
        own = _rate(measured, driver, lambda row: max(0.0, _own(row) - (row["commit_processor_seconds"] or 0.0)))
        runs = min(self.batches, units)
        written = sum(row["bytes_written"] for row in measured) / sum(row[driver] for row in measured) * amount
        start = _mean(row["start_processor_seconds"] or 0.0 for row in rows)
        commit, commit_wall = (
            _of_commits(measured, name, written, runs) for name in ("commit_processor_seconds", "commit_wall_seconds")
        )
        of_models_hours = sum(model.processor_hours or 0.0 for model in of_models)
        own_hours = own.of(amount, runs) / 3600
        processor = start * runs / 3600 + own_hours + commit / 3600 + of_models_hours
        per_unit = own.each * amount / units + of_models_hours * 3600 / units if units else None
        whole = _rate(
            rows, "units", lambda row: (row["processor_seconds"] or 0.0) - (row["start_processor_seconds"] or 0)
        )
        errors = [(own_hours, own.relative_error)]
        errors += [(model.processor_hours or 0.0, model.relative_error) for model in of_models]
        never_ran = [f"{model.provider} ({model.model})" for model in of_models if model.hours is None and model.inputs]
        return StageCost(
            stage=name,
            workers=stage.workers,
            inputs=units,
            measured_inputs=sum(row["units"] for row in rows),
            runs=len(rows),
            seconds_per_unit=per_unit,
            lowest=whole.lowest * longer,
            highest=whole.highest * longer,
            relative_error=_joined(errors),
            processor_hours=processor,
            start_hours=_mean(row["start_wall_seconds"] or 0.0 for row in rows) * runs / 3600,
            worker_hours=own_hours + sum(model.worker_hours for model in of_models),
            commit_hours=commit_wall / 3600,
            threads=_threads(rows),
            models=of_models,
            missing=f"{', '.join(never_ran)} never ran in this lake: `internvid ingest` some videos with this profile"
            if never_ran
            else None,
            is_of_one_size=own.is_of_one_size,
        )

    def model(self, stage: StageDefinition, provider: str, model: str, units: int, inputs_here: int) -> ModelCost:
        requests = self.held[stage.cost.requests[provider]]
        if stage.cost.per_video:
            inputs = round(units * requests / self.held["videos"])
        else:
            # What is pending beside new videos asks its models as often as the lake's units do.
            inputs = round(requests * _share(units, inputs_here)) if inputs_here else round(requests * self.larger)
        rows = self.asked.get((stage.name, model), [])
        if not rows:
            return ModelCost(provider, model, None, inputs, None, None, None, 0, 0)
        by_video = any(row["video_seconds"] for row in rows)
        driver = "video_seconds" if by_video else "units"
        measured = [row for row in rows if row[driver]]
        amount = inputs * self.mean_seconds if by_video else inputs
        runs = min(self.batches, inputs)
        wall = _rate(measured, driver, lambda row: row["model_seconds"])
        processor = _rate(measured, driver, lambda row: row["processor_seconds"])
        seconds, asked = (sum(row[name] for row in rows) for name in ("model_seconds", "units"))
        frames = sum(row["frames"] for row in rows)
        return ModelCost(
            provider,
            model,
            rows[-1]["device"],
            inputs,
            wall.of(amount, runs) / 3600,
            processor.of(amount, runs) / 3600,
            frames / seconds if frames and seconds else None,
            prompt_tokens=round(sum(row["prompt_tokens"] for row in rows) / asked * inputs),
            output_tokens=round(sum(row["output_tokens"] for row in rows) / asked * inputs),
            relative_error=processor.relative_error,
        )

    def beside_stages(self) -> Iterator[StageCost]:
        """Yields what is done beside the stages, by one process: registering, publishing once, the session's rest."""
        videos, clips = self.collection.videos, round(self.held["clips"] * self.larger)
        yield self._beside(REGISTERING, 0 if self.collection.batches is not None else videos, runs=1)
        yield self._beside(SESSION, self.batches, runs=self.batches)
        for name in PUBLISHING:
            yield self._beside(name, videos if name == "duplicates" else clips, runs=1)

    def _beside(self, name: str, amount: int, *, runs: int) -> StageCost:
        rows = self.runs.get(name, [])
        if not rows:
            missing = "it never ran in this lake: `internvid ingest` some videos" if amount else None
            return _empty(name, None, amount, (), missing)
        rate = _rate(rows, "units", lambda row: row["processor_seconds"] or 0.0)
        if name == SESSION:
            cost, missing = rate.of(amount, 0), None
        elif name in PUBLISHING and not _is_growth_known(rate):
            cost = _mean(row["processor_seconds"] or 0.0 for row in rows) if amount else 0.0
            missing = (
                "how much it grows with the lake is not known from its runs, so it is counted as it was: `internvid "
                "ingest` more videos, in three commands or more of different sizes, and plan again"
            )
        else:
            cost, missing = rate.of(amount, runs), None
        return StageCost(
            stage=name,
            workers=None,
            inputs=amount,
            measured_inputs=sum(row["units"] for row in rows),
            runs=len(rows),
            seconds_per_unit=None if missing else rate.each,
            lowest=rate.lowest,
            highest=rate.highest,
            relative_error=rate.relative_error,
            processor_hours=cost / 3600,
            start_hours=0.0,
            worker_hours=cost / 3600,
            commit_hours=0.0,
            threads=_threads(rows),
            missing=missing if amount else None,
            is_of_one_size=rate.is_of_one_size,
        )

    def storage(self, lake: Lake, stages: Sequence[StageDefinition], *, are_videos_kept: bool) -> Storage:
        groups = {table.name: stage.group for stage in stages for table in stage.outputs}
        tables = [SOURCES, *(table for stage in stages for table in stage.outputs), ATTEMPTS]
        estimated = [stored(lake, table, self._group(table, groups), self._larger(table)) for table in tables]
        video_bytes = self.collection.video_bytes
        if video_bytes is None:
            video_bytes = round(self.held["video_bytes"] * self.larger)
        return Storage(
            tuple(table for table in estimated if table is not None),
            video_bytes,
            are_videos_kept,
            self._published_bytes(lake),
        )

    def _group(self, table: Table, groups: Mapping[str, str]) -> str:
        return "ingest" if table is SOURCES else groups.get(table.name, "bookkeeping")

    def _larger(self, table: Table) -> float:
        has_row_per_video = table.key in KEYS_OF_VIDEOS or table is ATTEMPTS
        return self.more_videos if has_row_per_video else self.larger

    def _published_bytes(self, lake: Lake) -> int:
        """The export has a line for each clip; the report and the statistics are as large as they are."""
        export = sum(size for _, size in lake.file(INTERNVID_JSONL).files(with_subfolders=True))
        others = sum(size for file, size in lake.file("").files() if file.name in (REPORT, MART))
        return round(export * self.larger) + others


def _empty(
    name: str, kind: WorkerKind | None, units: int, models: tuple[ModelCost, ...], missing: str | None
) -> StageCost:
    """A stage that was not measured."""
    return StageCost(name, kind, units, 0, 0, None, None, None, None, None, 0.0, 0.0, 0.0, 1.0, models, missing)


def _videos_to_ingest(stage: StageDefinition) -> str:
    return "some URLs of videos" if stage.cost.only_web else "some videos with this profile"


def _is_growth_known(rate: Rate) -> bool:
    error = rate.relative_error
    return not rate.is_of_one_size and error is not None and error <= MAX_ERROR_OF_GROWTH


def _driver(rows: Sequence[Mapping[str, Any]], *, per_video: bool) -> str:
    """Returns the column of the quantity that the stage's own work grows with."""
    if any(row["video_seconds"] for row in rows):
        return "video_seconds"
    return "frames" if per_video and any(row["frames"] for row in rows) else "units"


def _of_commits(rows: Sequence[Mapping[str, Any]], column: str, written: float, runs: int) -> float:
    """Returns what committing so many bytes takes: a commit at the end of each run, and one when there is enough.

    A commit of few rows takes as long as one of some more, so its cost grows with bytes only where runs of different
    sizes show how much.
    """
    commits = [1 + row["bytes_written"] // BYTES_PER_COMMIT for row in rows]
    costs = [row[column] or 0.0 for row in rows]
    of_commit, each = sum(costs) / sum(commits), 0.0
    if all(row["bytes_written"] for row in rows):
        rate = fitted([row["bytes_written"] for row in rows], costs)
        if _is_growth_known(rate):
            of_commit, each = rate.start * len(rows) / sum(commits), rate.each
    return of_commit * max(runs, written / BYTES_PER_COMMIT) + each * written


def _own(row: Mapping[str, Any]) -> float:
    return row["own_processor_seconds"] or 0.0


def _rate(rows: Sequence[Mapping[str, Any]], driver: str, cost: Callable[[Mapping[str, Any]], float]) -> Rate:
    return fitted([row[driver] for row in rows], [cost(row) for row in rows])


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _threads(rows: Sequence[Mapping[str, Any]]) -> float:
    """Returns the mean number of cores that the runs kept busy after their starts."""
    busy = sum((row["processor_seconds"] or 0.0) - (row["start_processor_seconds"] or 0.0) for row in rows)
    wall = sum(row["wall_seconds"] - (row["start_wall_seconds"] or 0.0) for row in rows)
    return busy / wall if wall > 0 else 1.0


def _joined(parts: Sequence[tuple[float, float | None]]) -> float | None:
    """Returns the relative error of a sum of independent parts; None where that of a part is not known."""
    whole = sum(cost for cost, _ in parts)
    if not whole or any(error is None and cost > 0 for cost, error in parts):
        return None
    return math.hypot(*(cost * (error or 0.0) for cost, error in parts)) / whole
