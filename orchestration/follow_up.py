"""What starts runs by itself: batches of newly found sources, and batches in which something is to be tried again.

Both are read from the tables, so a look that dies half-way is made good by the next, and a run key, made from what is
to be done, lets each state of a batch start one run only.
"""

import os
from datetime import UTC, datetime

import dagster as dg

from assets.ingest_batches import ingest_batches
from orchestration.jobs import ingest
from resources.lake import Lake
from resources.statements import statement

SECONDS_BETWEEN_LOOKS = 60
RUNS_PER_LOOK = 200  # Dagster ends a look after 60 s; the others have their turn in the next
COLLECTS = os.environ.get("INTERNVID_COLLECT") == "1"
STATUS = dg.DefaultSensorStatus.RUNNING if COLLECTS else dg.DefaultSensorStatus.STOPPED


@dg.sensor(
    job=ingest,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=STATUS,
    description="Starts a run for each batch of sources that feeds have found on the web.",
)
def found_sources_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult | dg.SkipReason:
    """The cursor is the last batch that was asked for, and when its newest source was registered."""
    lake.create_tables()
    since, _, last = (context.cursor or datetime.fromtimestamp(0, UTC).isoformat()).partition(" ")
    batches = lake.query(
        statement("operations/found_batches"),
        {"since": datetime.fromisoformat(since), "last": last, "batches": RUNS_PER_LOOK},
        tables=["sources"],
    ).to_pylist()
    if not batches:
        return dg.SkipReason("no source has been found since the last look")
    run_keys = {batch["ingest_batch"]: f"{batch['ingest_batch']}/{batch['content']}" for batch in batches}
    return _runs(run_keys, cursor=f"{batches[-1]['found_at'].isoformat()} {batches[-1]['ingest_batch']}")


@dg.sensor(
    job=ingest,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=STATUS,
    description="Starts a run for each batch in which the time has come to try something again.",
)
def retry_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult | dg.SkipReason:
    """What is tried again, and when, says resources/retries.yaml; sites that were left alone are asked again here."""
    lake.create_tables()
    due = lake.query(
        statement("operations/batches_to_retry"),
        {"now": datetime.now(UTC), "batches": RUNS_PER_LOOK},
        tables=["attempts"],
    ).to_pylist()
    if not due:
        return dg.SkipReason("the time has not come to try anything again")
    return _runs({batch["ingest_batch"]: f"retry/{batch['ingest_batch']}/{batch['due']}" for batch in due})


def _runs(run_keys: dict[str, str], *, cursor: str | None = None) -> dg.SensorResult:
    """A run for each batch. run_keys: by batch."""
    return dg.SensorResult(
        dynamic_partitions_requests=[ingest_batches.build_add_request(list(run_keys))],
        run_requests=[dg.RunRequest(partition_key=batch, run_key=run_key) for batch, run_key in run_keys.items()],
        cursor=cursor,
    )
