"""What starts runs by itself: files in the inbox, batches of new sources, retries, the first model, older subsets.

Sensors only decide and request. What they decide by is read from the tables, so a tick that dies half-way is made good
by the next, and a run key, made from what is to be done, lets each state of a batch start one run only.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from assets.partitions import ingest_batches
from orchestration.due import next_run_to_first_model, outdated_documents, outdated_subsets
from orchestration.settings import Settings
from orchestration.waiting import waiting_partitions
from resources.catalog.inbox import Inbox, InboxContents
from resources.corpus.forgetting.run_history import unfinished_runs
from resources.corpus.snapshots import newest_snapshot_name
from resources.corpus.subset_files import SubsetFiles
from resources.incremental.provenance import digest
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.models.aligner import Aligner

SECONDS_BETWEEN_TICKS = 30
MAX_FILES_PER_RUN = 500  # their headers are read, which takes some seconds
MAX_RUNS_PER_TICK = 200  # Dagster ends a tick after 60 s; the others have their turn in the next
MINUTES_PER_REQUEST = 10  # files that a run did not register are asked for again after that

RUNNING, STOPPED = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED


def build_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Builds the sensors. Those for which nothing is set up do not start by themselves."""
    watches = settings.inbox is not None
    collects = settings.collect

    @dg.sensor(
        job_name="register",
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        default_status=RUNNING if watches else STOPPED,
        description="Requests that what lands in the inbox is registered, and cut into batches by hours of video.",
    )
    def inbox_sensor(context: dg.SensorEvaluationContext, lake: Lake, inbox: Inbox) -> dg.RunRequest | dg.SkipReason:
        if not inbox.folder:
            return dg.SkipReason("INTERNVID_INBOX is not set: there is no folder to watch")
        lake.create_tables()
        contents = InboxContents()
        files = inbox.unregistered(lake, contents, max_files=MAX_FILES_PER_RUN)
        if not files:
            return dg.SkipReason(f"nothing new: {contents}")
        now = datetime.now(UTC)
        window = now.replace(minute=now.minute - now.minute % MINUTES_PER_REQUEST, second=0, microsecond=0)
        return dg.RunRequest(
            run_key=f"{digest(files)}/{window.isoformat()}",
            run_config={"ops": {"sources": {"config": {"locations": [file["uri"] for file in files]}}}},
        )

    @dg.sensor(
        job_name="ingest",
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        default_status=RUNNING if watches or collects else STOPPED,
        description="Starts a run for each batch in which sources were registered, from the inbox or by polls.",
    )
    def registered_batches_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult | dg.SkipReason:
        """The cursor is the last batch that was asked for, and when its newest source was registered."""
        lake.create_tables()
        since, _, last = (context.cursor or datetime.fromtimestamp(0, UTC).isoformat()).partition(" ")
        # The clock was set back since the cursor: then look a day back. The key of a run keeps it from a second start.
        is_ahead = datetime.fromisoformat(since) > (now := datetime.now(UTC))
        batches = lake.query(
            statement("catalog/registered_batches"),
            {
                "since": now - timedelta(days=1) if is_ahead else datetime.fromisoformat(since),
                "last": "" if is_ahead else last,
                "batches": MAX_RUNS_PER_TICK,
            },
            tables=["sources"],
        ).to_pylist()
        if not batches:
            return dg.SkipReason("no source was registered since the last tick")
        run_keys = {batch["ingest_batch"]: f"{batch['ingest_batch']}/{batch['content']}" for batch in batches}
        newest = batches[-1]
        return _runs(run_keys, cursor=f"{newest['registered_at'].isoformat()} {newest['ingest_batch']}")

    @dg.sensor(
        job_name="ingest",
        minimum_interval_seconds=2 * SECONDS_BETWEEN_TICKS,
        default_status=RUNNING if collects else STOPPED,
        description="Starts a run for each batch in which the time has come to try something again.",
    )
    def retry_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult | dg.SkipReason:
        """What is tried again, and when, says retries.yaml; sites whose cooldown is over are asked again here."""
        lake.create_tables()
        due = lake.query(
            statement("incremental/batches_to_retry"),
            {"now": datetime.now(UTC), "batches": MAX_RUNS_PER_TICK},
            tables=["attempts"],
        ).to_pylist()
        if not due:
            return dg.SkipReason("the time has not come to try anything again")
        waiting = waiting_partitions(context.instance, "ingest")
        run_keys = {batch["ingest_batch"]: f"retry/{batch['ingest_batch']}/{batch['due']}" for batch in due}
        return _runs({batch: run_key for batch, run_key in run_keys.items() if batch not in waiting})

    @dg.sensor(
        job_name="select",
        minimum_interval_seconds=2 * SECONDS_BETWEEN_TICKS,
        default_status=RUNNING,
        description="Selects again the subsets that were made of an older snapshot, with the same parameters.",
    )
    def outdated_subsets_sensor(
        context: dg.SensorEvaluationContext, lake: Lake, subset_files: SubsetFiles
    ) -> dg.SensorResult | dg.SkipReason:
        """It trains nothing: it shows which models were trained on other clips than are in their subset now."""
        lake.create_tables()
        outdated = outdated_subsets(lake, subset_files)
        if not outdated:
            return dg.SkipReason("every subset that was made is of the newest snapshot")
        newest = newest_snapshot_name(lake)
        waiting = waiting_partitions(context.instance, "select")
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    partition_key=subset,
                    run_key=f"{subset}/{newest}/{digest(values)}",
                    run_config={"ops": {"subsets": {"config": {"values": values}}}},
                )
                for subset, values in outdated.items()
                if subset not in waiting
            ]
        )

    @dg.sensor(
        job_name="write",
        minimum_interval_seconds=2 * SECONDS_BETWEEN_TICKS,
        default_status=RUNNING,
        description="Writes again the subsets that were written as documents and selected again since.",
    )
    def outdated_documents_sensor(
        context: dg.SensorEvaluationContext, lake: Lake, subset_files: SubsetFiles
    ) -> dg.SensorResult | dg.SkipReason:
        lake.create_tables()
        outdated = outdated_documents(lake, subset_files)
        if not outdated:
            return dg.SkipReason("every subset that was written is as it was last selected")
        waiting = waiting_partitions(context.instance, "write")
        requests = [
            dg.RunRequest(partition_key=subset, run_key=f"write/{subset}/{snapshot}")
            for subset, snapshot in outdated.items()
            if subset not in waiting
        ]
        return dg.SensorResult(run_requests=requests)

    return [
        inbox_sensor,
        registered_batches_sensor,
        retry_sensor,
        outdated_subsets_sensor,
        outdated_documents_sensor,
    ]


def build_first_model_sensor(settings: Settings, jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Builds the sensor that trains a lake's first model, as `internvid ingest` does. jobs: all of them."""

    @dg.sensor(
        jobs=[job for job in jobs if job.name in ("pin", "select", "train")],
        minimum_interval_seconds=2 * SECONDS_BETWEEN_TICKS,
        default_status=RUNNING,
        description="Trains the first model of a lake, once it has captions and no batch is being worked on.",
    )
    def first_model_sensor(
        context: dg.SensorEvaluationContext, lake: Lake, aligner: Aligner
    ) -> dg.RunRequest | dg.SkipReason:
        """What depends on the model follows by itself: the condition of `orchestration.automation` follows it."""
        lake.create_tables()
        due = next_run_to_first_model(lake, aligner, settings.first_model)
        if due is None:
            return dg.SkipReason("no model is due: there is one, or no caption yet, or INTERNVID_FIRST_MODEL is empty")
        if unfinished_runs(context.instance):
            return dg.SkipReason("a model is due once the runs that wait or go on have ended")
        return dg.RunRequest(job_name=due.job, partition_key=due.partition, run_key=due.run_key)

    return first_model_sensor


def _runs(run_keys: dict[str, str], *, cursor: str | None = None) -> dg.SensorResult:
    """Requests a run for each batch. run_keys: by batch."""
    return dg.SensorResult(
        dynamic_partitions_requests=[ingest_batches.build_add_request(list(run_keys))],
        run_requests=[dg.RunRequest(partition_key=batch, run_key=run_key) for batch, run_key in run_keys.items()],
        cursor=cursor,
    )
