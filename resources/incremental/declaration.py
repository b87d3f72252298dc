"""Declares stages. Everything that covers all stages reads these declarations.

A stage is one function with the decorator `stage`, one file sql/units/NAME.sql that lists its units, and one table for
each output. The asset (name, description, dependencies, pool, checks, code version), the snapshots, status, checks,
lineage, estimates, and the metadata in the UI are derived from them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import pyarrow as pa

from resources.incremental.batch_states import read_batch_states
from resources.incremental.costs import starting
from resources.incremental.stage import Outcome, Output, Stage, Unit, units_sql
from resources.incremental.state import rows_of
from resources.lake.schema import Table
from resources.lake.store import Lake, tables_in

if TYPE_CHECKING:
    from resources.incremental.samples import Sample

INGEST_BATCH = "ingest_batch"  # the partition of all stages between sources and scores
CHUNK_SIZE = 64

# What an engine gives each worker of a stage: cores, or a GPU too, where there are any.
WorkerKind = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class StageScope:
    """What a stage is configured for.

    lake: None where only the settings are known. partition, config: those of a run, None outside of a run.
    """

    lake: Lake | None
    partition: str | None = None
    config: Any = None


@dataclass(frozen=True)
class StageRun:
    """A run of a stage, as its function gets it.

    partition_column: column of the partition in the stage's tables and in its inputs. config: instance of the
    definition's config class. context: Dagster's context; None outside of Dagster.
    """

    lake: Lake
    partition: str
    run_id: str
    log: Callable[[str], object]
    config: Any = None
    context: dg.AssetExecutionContext | None = None
    partition_column: str = INGEST_BATCH

    def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Returns the result of one statement that sees the rows of the run's partition alone.

        So its cost is that of the partition, however large the lake is: the filter reaches Lance, which a list of keys
        bound to the statement does not. Rows of other partitions are read by key, with `lake.fetch` and `lake.known`.
        """
        return self.lake.query(sql, parameters, only=rows_of(self.partition_column, self.partition))


@dataclass(frozen=True)
class Configuration:
    """A stage's configuration, which depends on the settings of its resources.

    versions: for each output, the version by variant of the unit. chunk_size: upper bound on units per call of its
    function. parameters: relation `parameters` of its units file, for values that are not in the lake. is_divisible:
    whether an engine may make smaller chunks: units are computed one by one, and not as a model's batch.
    """

    versions: tuple[Mapping[str, str], ...]
    chunk_size: int = CHUNK_SIZE
    parameters: pa.Table | None = None
    is_divisible: bool = False


@dataclass(frozen=True)
class CostDrivers:
    """The quantities that the cost of a stage grows with, for estimates.

    per_video: True where units are videos and the cost grows with their number and length; else it grows with units.
    only_web: True where the units are those videos that have to be downloaded.
    requests: model provider -> quantity of its requests, a column of sql/corpus/plan_quantities.sql.
    """

    per_video: bool = False
    only_web: bool = False
    requests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StageDefinition:
    """The declaration of a stage.

    name: name of the stage, and of its asset where it has one output. group: asset group, and package in assets/.
    units: name of a file in sql/units/, or a path. providers, resources: names of the model providers and of the other
    resources that its function takes as keywords. variants: variant of a unit -> provider that its rows need; other
    variants need none. None: every unit needs all providers. reads: assets that it depends on besides the tables that
    its units file names. finish: function that is called after each run. samples: table -> columns that are shown of a
    few rows, or a function that returns other metadata. workers: the kind of workers that an engine may spread chunks
    over; None: chunks are always computed in the process of the run.
    """

    name: str
    group: str
    outputs: tuple[Table, ...]
    units: str
    compute: Callable[..., Iterable[Outcome]]
    configure: Callable[..., Configuration]
    description: str
    partition: str
    pool: str
    kinds: frozenset[str]
    providers: tuple[str, ...]
    resources: tuple[str, ...]
    variants: Mapping[str, str] | None
    reads: tuple[str, ...]
    samples: Mapping[str, Sample]
    cost: CostDrivers
    finish: Callable[..., None] | None
    config: type[dg.Config] | None
    workers: WorkerKind | None

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of all resources that the stage's function takes."""
        return (*self.providers, *self.resources)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tables and assets that the stage depends on, in the order of the schema."""
        own = {*(table.name for table in self.outputs), "attempts"}  # attempts is bookkeeping, not data
        named = [name for name in tables_in(units_sql(self.units)) if name not in own]
        return tuple(dict.fromkeys((*named, *self.reads)))

    def configured(self, scope: StageScope, resources: Mapping[str, Any]) -> Stage:
        """Returns the configured stage. resources: resources by name, at least those that the stage needs."""
        configuration = self.configure(scope, **{name: resources[name] for name in self.needs})
        outputs = tuple(
            Output(table, versions) for table, versions in zip(self.outputs, configuration.versions, strict=True)
        )
        return Stage(
            self.name,
            self.units,
            outputs,
            configuration.chunk_size,
            configuration.parameters,
            configuration.is_divisible,
        )


def stage(
    *,
    group: str,
    outputs: tuple[Table, ...],
    version: str | None = None,
    configure: Callable[..., Configuration] | None = None,
    name: str | None = None,
    units: str | None = None,
    partition: str = INGEST_BATCH,
    pool: str = "compute",
    kinds: Iterable[str] = ("lance",),
    providers: tuple[str, ...] = (),
    resources: tuple[str, ...] = (),
    variants: Mapping[str, str] | None = None,
    reads: tuple[str, ...] = (),
    samples: Mapping[str, Sample] | None = None,
    cost: CostDrivers | None = None,
    finish: Callable[..., None] | None = None,
    config: type[dg.Config] | None = None,
    workers: WorkerKind | None = None,
) -> Callable[[Callable[..., Iterable[Outcome]]], StageDefinition]:
    """Declares the decorated function as a stage; its docstring is the asset's description in the UI.

    The function gets (run: StageRun, units: list[Unit]) and each of providers and resources as a keyword, and yields
    one outcome for each unit, in their order. With `workers`, it may be called for chunks in any order, on several
    machines at a time, and once more for a chunk whose worker was lost; `run.context` is None there. version: version
    of a stage without settings. configure: function that returns the configuration of a stage with settings; it gets
    (scope: StageScope) and the same keywords. The other parameters are those of `StageDefinition`. Raises TypeError
    where the function's keywords differ from the declared resources.
    """
    if (version is None) == (configure is None):
        raise TypeError("a stage has either a version or a function that configures it")

    def fixed(scope: StageScope, **needed: Any) -> Configuration:
        assert version is not None
        return Configuration(tuple({"": version} for _ in outputs))

    def declare(compute: Callable[..., Iterable[Outcome]]) -> StageDefinition:
        stage_name = name or compute.__name__
        _check_keywords(stage_name, compute, (*providers, *resources))
        return StageDefinition(
            name=stage_name,
            group=group,
            outputs=outputs,
            units=units or stage_name,
            compute=compute,
            configure=configure or fixed,
            description=inspect.getdoc(compute) or "",
            partition=partition,
            pool=pool,
            kinds=frozenset(kinds),
            providers=providers,
            resources=resources,
            variants=variants,
            reads=reads,
            samples=samples or {},
            cost=cost or CostDrivers(),
            finish=finish,
            config=config,
            workers=workers,
        )

    return declare


@dataclass(frozen=True)
class Computation:
    """The function of a stage in a run, with all that it takes but the units: a `Compute`.

    resources: resources by name, at least those that the stage needs.
    """

    definition: StageDefinition
    run: StageRun
    resources: Mapping[str, Any]

    def __call__(self, units: list[Unit]) -> Iterable[Outcome]:
        """Computes the units. Raises ModelUnavailable or ServerUnreachable before the first row is computed."""
        self._prepare(units)
        return self.definition.compute(
            self.run, units, **{name: self.resources[name] for name in self.definition.needs}
        )

    def _prepare(self, units: list[Unit]) -> None:
        """Loads the models and contacts the servers that the units need, each once."""
        variants = self.definition.variants
        if variants is None:
            needed = set(self.definition.providers)
        else:
            needed = {variants[unit.variant] for unit in units if unit.variant in variants}
        for name in sorted(needed - self._ready):
            if self.resources[name].is_enabled:
                with starting():
                    self.resources[name].prepare()
            self._ready.add(name)

    @cached_property
    def _ready(self) -> set[str]:
        """The providers that are prepared."""
        return set()


def configured_stages(lake: Lake, definitions: Iterable[StageDefinition], resources: Mapping[str, Any]) -> list[Stage]:
    """Returns the stages as the resources configure them, in the order given."""
    scope = StageScope(lake)
    return [definition.configured(scope, resources) for definition in definitions]


def counts_by_stage(
    lake: Lake, definitions: Iterable[StageDefinition], resources: Mapping[str, Any]
) -> dict[str, dict[str, int]]:
    """Returns the number of units by state in the whole lake, for each stage by its name, in the order given."""
    return read_batch_states(lake, configured_stages(lake, definitions, resources)).counts()


def _check_keywords(name: str, compute: Callable[..., Any], needed: tuple[str, ...]) -> None:
    parameters = inspect.signature(compute).parameters.values()
    keywords = {parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    if keywords != set(needed):
        raise TypeError(
            f"the stage {name} declares the resources {', '.join(sorted(needed)) or 'none'}, and its function takes "
            f"{', '.join(sorted(keywords)) or 'none'} as keywords"
        )
