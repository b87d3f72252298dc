"""A session of the command line: the lake with its resources and Dagster instance, and the jobs that it runs.

The jobs, their selections and their partitions are those of the UI; they run in this process instead of the daemon's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from orchestration.settings import Settings
from resources.incremental.faults import SystemFault, raising_faults

if TYPE_CHECKING:
    import dagster as dg
    import pyarrow as pa

    from orchestration.cli.liveness import Liveness
    from resources.incremental.declaration import StageDefinition
    from resources.lake.store import Lake

MAX_ROUNDS = 3  # a run may make units of another batch pending: duplicates there whose original was removed


@dataclass
class RunSummary:
    """What the runs of a session did.

    seconds, rows: by table, as the assets reported them. batches: ingest batches that were run. failed_runs: partition
    or job -> the error that ended its run. alarms, warnings: failed checks in words, by severity.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    batches: set[str] = field(default_factory=set)
    failed_runs: dict[str, str] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        return not self.failed_runs and not self.alarms

    def take(self, result: dg.ExecuteInProcessResult, name: str) -> None:
        """Adds what a run of the partition or job reported."""
        for event in result.get_asset_materialization_events():
            metadata: dict[str, Any] = {key: value.value for key, value in event.materialization.metadata.items()}
            if "seconds" in metadata:
                self._take_materialization(event.materialization.asset_key.to_user_string(), metadata)
        for check in result.get_asset_check_evaluations():
            if not check.passed:
                messages = self.alarms if check.severity.value == "ERROR" else self.warnings
                messages.append(f"{check.check_name}: {check.description or 'the check failed'}")
        if not result.success:
            self.failed_runs[name] = _error_of(result)

    def _take_materialization(self, table: str, metadata: Mapping[str, Any]) -> None:
        rows = self.rows.setdefault(table, {"added": 0, "changed": 0, "removed": 0})
        for change in rows:
            rows[change] += metadata[f"rows_{change}"]
        self.seconds[table] = self.seconds.get(table, 0.0) + metadata["seconds"]


class Session:
    """The lake with its resources, and the Dagster instance that keeps its runs."""

    def __init__(self, settings: Settings | None = None, *, must_exist: bool = False) -> None:
        """Opens the lake. settings: None: those of the environment.

        Raises FileNotFoundError where the lake must exist and does not, and ValueError for invalid settings.
        """
        from orchestration.cli.output import notes
        from orchestration.configured import configured
        from resources.incremental.costs import Ledger

        self.ledger = Ledger()
        self.settings = settings or Settings()
        self.resources = configured(self.settings)
        self.lake: Lake = self.resources["lake"]
        self.media = self.resources["media"]
        with raising_faults(self.lake.root):
            if must_exist and not self.lake.exists():
                raise FileNotFoundError(f"there is no lake at {self.lake.root}; `internvid ingest` creates it")
        if self.settings.stages:
            self.stages  # noqa: B018 - it declares the tables of the user's own stages
        with raising_faults(self.lake.root):
            self.lake.create_tables(partial(notes.print, markup=False, soft_wrap=True))

    @cached_property
    def stages(self) -> tuple[StageDefinition, ...]:
        """The stages of ingest batches, in the order in which data flows."""
        from assets.stages import ingest_stages

        return ingest_stages(self.settings.stages)

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns the number of units by state, by stage."""
        from resources.incremental.declaration import counts_by_stage

        return counts_by_stage(self.lake, self.stages, self.resources)

    def bring_up_to_date(self) -> RunSummary:
        """Runs every batch with pending units, then publishes the lake if it changed.

        A lake without a model trains one as soon as it has captions, and embeds its clips with it.
        """
        from orchestration.due import first_model

        summary = RunSummary()
        self.run_pending_batches(summary)
        if model := first_model(self.lake, self.resources["aligner"], self.settings.first_model):
            self.train(*model, summary)
            self.run_pending_batches(summary)
        self.publish_what_changed(summary)
        self._note_costs(summary)
        return summary

    def _note_costs(self, summary: RunSummary) -> None:
        """Writes what the session took beside its stages: the start, Dagster, the decisions. It counts batches."""
        from uuid import uuid4

        from resources.incremental.costs import SESSION

        self.ledger.units = len(summary.batches)
        if summary.batches:
            self.ledger.write(self.lake, SESSION, "", f"internvid/{uuid4().hex[:16]}")

    def run_pending_batches(self, summary: RunSummary) -> None:
        """Runs the ingest job for each batch with pending units, until there is none."""
        from assets.partitions import add_ingest_batches
        from orchestration.cli.output import notes
        from orchestration.due import pending_batches

        for _ in range(MAX_ROUNDS):
            # A batch that is pending in one stage is brought up to date in all.
            batches = [
                batch
                for batch in pending_batches(self.lake, self.stages, self.resources)
                if batch not in summary.failed_runs
            ]
            for batch in batches:
                notes.print(f"[bold]{batch}[/bold]")
                summary.batches.add(batch)
                add_ingest_batches(self.instance, [batch])
                self.run("ingest", summary, partition=batch)
            if not batches:
                break

    def train(self, recipe: str, subset: str, summary: RunSummary, **config: Any) -> None:
        """Pins the lake, selects the subset, trains the recipe on it, and evaluates, where that is not done yet."""
        from assets.partitions import model_key
        from orchestration.cli.output import notes

        self.select(subset, summary)
        notes.print(f"[bold]training {recipe} on {subset}[/bold]")
        self.run(
            "train", summary, partition=model_key(recipe, subset), config={"checkpoints": {"config": dict(config)}}
        )

    def train_chat(self, recipe: str, subset: str, summary: RunSummary) -> None:
        """Pins the lake, selects the subset, and trains a model that talks about videos on the dialogues about it."""
        from assets.partitions import model_key
        from orchestration.cli.output import notes

        self.select(subset, summary)
        notes.print(f"[bold]training {recipe} on {subset}[/bold]")
        self.run("train_chat", summary, partition=model_key(recipe, subset))

    def train_generator(
        self, recipe: str, subset: str, summary: RunSummary, *, sampling: Mapping[str, Any] | None = None
    ) -> None:
        """Pins the lake, selects the subset, trains a model that generates videos on it, and samples it.

        sampling: fields of `GenerationConfig`.
        """
        from assets.partitions import model_key
        from orchestration.cli.output import notes

        self.select(subset, summary)
        notes.print(f"[bold]training {recipe} on {subset}[/bold]")
        config = {"generated_videos": {"config": dict(sampling or {})}}
        self.run("train_generator", summary, partition=model_key(recipe, subset), config=config)

    def select(self, subset: str, summary: RunSummary, **values: str) -> None:
        """Pins the lake as it is, and selects the subset from it. values: of the subset's parameters."""
        from orchestration.cli.output import notes
        from resources.corpus.snapshots import is_current

        if not is_current(self.lake):
            self.run("pin", summary)
        notes.print(f"[bold]selecting {subset}[/bold]")
        self.run("select", summary, partition=subset, config={"subsets": {"config": {"values": values}}})

    def write(self, subset: str, summary: RunSummary, **values: str) -> None:
        """Pins the lake, selects the subset, and writes it as documents and dialogues. values: as of `select`."""
        from orchestration.cli.output import notes

        self.select(subset, summary, **values)
        notes.print(f"[bold]writing {subset}[/bold]")
        self.run("write", summary, partition=subset)

    def publish_what_changed(self, summary: RunSummary) -> None:
        """Publishes the lake if it changed, and selects and writes subsets of an older snapshot again."""
        from orchestration.cli.output import notes
        from orchestration.due import is_published, outdated_documents, outdated_subsets

        if not is_published(self.lake):
            notes.print("[bold]publishing[/bold]")
            self.run("publish", summary)
        for subset, values in outdated_subsets(self.lake, self.resources["subset_files"]).items():
            self.select(subset, summary, **values)
        for subset in outdated_documents(self.lake, self.resources["subset_files"]):
            notes.print(f"[bold]writing {subset}[/bold]")
            self.run("write", summary, partition=subset)

    def poll_feeds(self, summary: RunSummary, plans: list[str], max_polls: int) -> dict[str, Any]:
        """Polls the feeds that are due. Returns the asset's metadata; empty where the run failed."""
        config = {"feed_polls": {"config": {"plans": plans, "max_polls": max_polls}}}
        result = self.run("discover", summary, config=config)
        return {
            name: value.value
            for event in result.get_asset_materialization_events()
            for name, value in event.materialization.metadata.items()
        }

    def report_sources(self, metadata: dict[str, int]) -> None:
        """Reports registered sources to Dagster as a materialization of `sources`: the UI shows it like any other."""
        import dagster as dg

        self.instance.report_runless_asset_event(dg.AssetMaterialization("sources", metadata=metadata))

    def run(
        self,
        job: str,
        summary: RunSummary,
        *,
        partition: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Runs a job of the code location in this process, and adds its results to the summary. config: of its ops.

        Raises SystemFault where the system is at fault: later runs would fail in the same way.
        """
        self.liveness.end_runs_of_killed_processes()
        result = self._definitions.resolve_job_def(job).execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, "ops": config or {}},
            partition_key=partition,
            tags=self.liveness.tags,
            instance=self.instance,
            raise_on_error=False,
        )
        summary.take(result, partition or job)
        if fault := _fault_of(result):
            raise SystemFault(fault)
        return result

    def retry_now(self, failures: pa.Table) -> None:
        """Makes the inputs of these rows of `attempts` pending again."""
        import pyarrow as pa

        position = failures.schema.get_field_index("next_try_at")
        now = pa.array([datetime.now(UTC)] * failures.num_rows, failures.schema.field(position).type)
        self.lake.upsert("attempts", failures.set_column(position, "next_try_at", now))

    def use(self, name: str, resource: dg.ConfigurableResource) -> None:
        """Replaces a resource, for the runs that follow."""
        self.resources[name] = resource
        self.__dict__.pop("_definitions", None)  # they hold the former one

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """Dagster's instance, opened on first use: it takes half a second, and `status` and `sql` do not need it."""
        from orchestration.instance import open_instance

        return open_instance(self.settings)

    @cached_property
    def liveness(self) -> Liveness:
        from orchestration.cli.liveness import Liveness

        return Liveness(self.instance)

    @cached_property
    def _definitions(self) -> dg.Definitions:
        from orchestration.definitions import definitions

        # Somebody waits at the terminal: an error is shown at once, and not after the seconds before another try.
        return definitions(self.settings, self.resources, with_retries=False)


def _fault_of(result: dg.ExecuteInProcessResult) -> str | None:
    """Returns the message of the system fault that ended the run; None where there was none."""
    for event in result.all_events:
        failure = event.step_failure_data.user_failure_data if event.is_step_failure else None
        if failure is not None and "fault" in failure.metadata:
            return failure.description
    return None


def _error_of(result: dg.ExecuteInProcessResult) -> str:
    """Returns the message of the Dagster step that failed; for other errors than system faults with their class."""
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            if failure is not None and failure.description:
                return failure.description
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause  # Dagster's own errors are wrapped around it
            return "the stage failed" if error is None else str(error)
    return "a check failed"
