"""Running the graph from a terminal: the lake with its resources and Dagster instance, and what a run of it did."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    import dagster as dg
    import pyarrow as pa

    from resources.lake import Lake
    from resources.refresh import Step

REPOSITORY = Path(__file__).resolve().parent.parent
SIGN_OF_LIFE_TAG = "internvid/sign_of_life"  # of a run: the file that its process holds locked
FIRST_MODEL = "viclip-tiny|all"  # recipe and subset of the model that a new lake trains for itself
POOL_LIMITS = {"download": 1}  # runs at once: the pace that a site is asked at is kept within a run
ROUNDS = 3  # a run may leave something to do in another batch: a duplicate there whose original has gone


class Work:
    """What was run: rows and seconds by stage, as the assets reported them, batches that could not be finished, and the
    checks of batches that failed, each in words: errors in `alarms`, the rest in `warnings`.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.rows: dict[str, dict[str, int]] = {}
        self.failed_batches: dict[str, str] = {}
        self.alarms: list[str] = []
        self.warnings: list[str] = []

    @property
    def is_well(self) -> bool:
        return not self.failed_batches and not self.alarms

    def take(self, result: "dg.ExecuteInProcessResult") -> None:
        for event in result.get_asset_materialization_events():
            materialization = event.materialization
            metadata: dict[str, Any] = {name: value.value for name, value in materialization.metadata.items()}
            if "seconds" not in metadata:
                continue
            name = materialization.asset_key.to_user_string()
            rows = self.rows.setdefault(name, {"added": 0, "changed": 0, "removed": 0})
            for change in rows:
                rows[change] += metadata[f"rows_{change}"]
            self.seconds[name] = self.seconds.get(name, 0.0) + metadata["seconds"]
        for check in result.get_asset_check_evaluations():
            if not check.passed:
                told = self.alarms if check.severity.value == "ERROR" else self.warnings
                told.append(f"{check.check_name}: {check.description or 'the check failed'}")


class House:
    """The lake with its resources, and the Dagster instance that keeps its runs."""

    def __init__(self, root: str | None, *, must_exist: bool = False) -> None:
        """root: the lake's, None for the environment's. Raises FileNotFoundError where it must exist and does not."""
        if root is not None:
            os.environ["INTERNVID_LAKE"] = root
        from orchestration.configured import configured

        self.resources = configured()
        self.lake: Lake = self.resources["lake"]
        self.media = self.resources["media"]
        if must_exist and not self.lake.exists():
            raise FileNotFoundError(f"there is no lake at {self.lake.root}; `internvid ingest` makes one")
        os.environ["INTERNVID_LAKE"] = self.lake.root  # absolute, for the processes that this one starts
        _set_dagster_home(self.lake.root)
        self.lake.create_tables()

    @property
    def steps(self) -> "list[Step]":
        from assets.steps import DOORS, steps

        return steps(self.lake, **{name: self.resources[name] for name in DOORS})

    def counts(self) -> "list[tuple[Step, dict[str, int]]]":
        from resources.refresh import counts

        return [(step, counts(self.lake, step)) for step in self.steps]

    def bring_up_to_date(self) -> Work:
        """Runs every batch in which something is pending, then publishes what changed. A lake without a model trains
        one as soon as it has captions, and embeds its clips with it.
        """
        work = Work()
        self.run_pending_batches(work)
        if self.train_first_model(work):
            self.run_pending_batches(work)
        self.publish_what_changed(work)
        return work

    def train_first_model(self, work: Work) -> bool:
        """Trains the first model of a lake that has none, on all of it. Returns whether one is active since."""
        model = os.environ.get("INTERNVID_FIRST_MODEL", FIRST_MODEL)
        aligner = self.resources["aligner"]
        if not model or aligner.active(self.lake) or not self.lake.dataset("clip_captions").count_rows():
            return False
        recipe, _, subset = model.partition("|")
        self.train(recipe, subset, work)
        return aligner.active(self.lake) is not None

    def train(self, recipe: str, subset: str, work: Work, **training: Any) -> None:
        """Pins the lake, selects the subset, trains the recipe on it, and evaluates: what of that is not done yet."""
        from assets.model_partitions import model_key
        from orchestration.printing import notes

        self.select(subset, work)
        notes.print(f"[bold]training {recipe} on {subset}[/bold]")
        self._run("train", work, model_key(recipe, subset), {"checkpoints": {"config": training}})

    def select(self, subset: str, work: Work, **values: str) -> None:
        """Pins the lake as it is, and makes the subset of it. values: of its parameters."""
        from assets.corpus_snapshot import is_current
        from orchestration.printing import notes

        if not is_current(self.lake):
            self._run("pin", work)
        notes.print(f"[bold]selecting {subset}[/bold]")
        self._run("select", work, subset, {"subsets_and_snapshots": {"config": {"values": values}}})

    def tell_dagster_of_sources(self, found: dict[str, int]) -> None:
        """What was registered, as a materialization of `sources`: the UI then shows it as it shows the rest."""
        import dagster as dg

        self.instance.report_runless_asset_event(dg.AssetMaterialization("sources", metadata=found))

    def run_pending_batches(self, work: Work) -> None:
        from orchestration.printing import notes
        from resources.refresh import pending_batches

        for _ in range(ROUNDS):
            # A batch that is pending in one step is brought up to date in all.
            pending = {batch for step in self.steps for batch in pending_batches(self.lake, step)}
            for batch in sorted(pending - set(work.failed_batches)):
                notes.print(f"[bold]{batch}[/bold]")
                self.instance.add_dynamic_partitions("ingest_batch", [batch])
                self._run("ingest", work, batch)
            if not pending:
                break

    def publish_what_changed(self, work: Work) -> None:
        from orchestration.printing import notes

        if not self._is_all_published():
            notes.print("[bold]publishing[/bold]")
            self._run("publish", work)
        self._select_again(work)

    def _select_again(self, work: Work) -> None:
        """Makes the subsets that were made before of the newest snapshot, each with its parameters: Dagster then shows
        which models were trained on other clips than those that are in their subset now.
        """
        from assets.corpus_snapshot import newest_snapshot_name
        from resources.subsets import shown, subsets

        made = self.lake.query("select subset, snapshot, parameters from subset_snapshots").to_pylist()
        known = subsets()
        for row in made:
            if row["subset"] in known and row["snapshot"] != newest_snapshot_name(self.lake):
                values = {name: shown(value) for name, value in json.loads(row["parameters"]).items()}
                self.select(row["subset"], work, **values)

    def look_at_feeds(self, work: Work, plans: Sequence[str], looks_at_most: int) -> dict[str, Any]:
        """Looks at the feeds whose turn it is. Returns what the asset tells of it; nothing where the run failed."""
        looks = {"plans": list(plans), "looks_at_most": looks_at_most}
        result = self._run("discover", work, ops={"feed_looks": {"config": looks}})
        told = [event.materialization.metadata for event in result.get_asset_materialization_events()]
        return {name: value.value for metadata in told for name, value in metadata.items()}

    def _run(
        self, job: str, work: Work, partition: str | None = None, ops: Mapping[str, Any] | None = None
    ) -> "dg.ExecuteInProcessResult":
        end_runs_of_killed_processes(self.instance)
        result = self._definitions.resolve_job_def(job).execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}, "ops": ops or {}},
            partition_key=partition,
            tags={SIGN_OF_LIFE_TAG: self._sign_of_life.lock_file},
            instance=self.instance,
            raise_on_error=False,
        )
        work.take(result)
        if not result.success:
            errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
            work.failed_batches[partition or job] = str(errors[0]) if errors else "a check failed"
        return result

    @cached_property
    def instance(self) -> "dg.DagsterInstance":
        """Opened late: it takes half a second, and `status` or `sql` need none."""
        import dagster as dg

        instance = dg.DagsterInstance.get()
        for pool, limit in POOL_LIMITS.items():
            instance.event_log_storage.set_concurrency_slots(pool, limit)
        return instance

    @cached_property
    def _sign_of_life(self) -> FileLock:
        """Held while this process lives: the system lets go of it however the process ends."""
        lock = FileLock(Path(self.instance.root_directory, "running", f"{uuid4()}.lock"))
        Path(lock.lock_file).parent.mkdir(exist_ok=True)
        lock.acquire()
        return lock

    @cached_property
    def _definitions(self) -> "dg.Definitions":
        from orchestration.definitions import definitions

        return definitions(self.resources)

    def _is_all_published(self) -> bool:
        """Whether the newest snapshot shows all that the tables hold, and every file was made after that snapshot."""
        from assets import internvid_jsonl, report, statistics
        from assets.corpus_snapshot import is_current, newest_snapshot
        from resources.published_files import modified

        if not is_current(self.lake):
            return False
        taken = newest_snapshot(self.lake)[0]["written_at"]
        times = [modified(self.lake, file) for file in (statistics.MART, internvid_jsonl.FILE, report.FILE)]
        return all(time is not None and time >= taken for time in times)

    def is_published(self, file: str) -> bool:
        from resources.published_files import modified

        return modified(self.lake, file) is not None

    def try_again(self, failures: "pa.Table") -> None:
        """Lets go of rows of `attempts`: their inputs are pending again."""
        import pyarrow as pa

        position = failures.schema.get_field_index("next_try_at")
        now = pa.array([datetime.now(UTC)] * failures.num_rows, failures.schema.field(position).type)
        self.lake.upsert("attempts", failures.set_column(position, "next_try_at", now))


def end_runs_of_killed_processes(instance: "dg.DagsterInstance") -> None:
    """Ends the runs whose process was killed: they would seem to go on for ever, and hold their places in the pools."""
    import dagster as dg

    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        sign_of_life = run.tags.get(SIGN_OF_LIFE_TAG)
        if sign_of_life is None or not _can_be_locked(Path(sign_of_life)):
            continue
        instance.report_run_failed(run, "the process that ran it was killed; what it had committed stays")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        Path(sign_of_life).unlink(missing_ok=True)


def _can_be_locked(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def _set_dagster_home(root: str) -> None:
    if "DAGSTER_HOME" not in os.environ:
        home = Path.home() / ".internvid" / "dagster" if "://" in root else Path(root) / ".dagster"
        os.environ["DAGSTER_HOME"] = str(home)
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copy(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
