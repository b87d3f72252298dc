"""Tables of the pipeline's own work: inputs that failed or wait, where batches stand, and what runs cost."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import TEXT, TEXTS, TIME, Column, Table, key

ATTEMPTS = Table(
    "attempts",
    "an input that a stage did not turn into rows: it failed, or was skipped for a reason",
    key="attempt_id",
    partition="partition",
    columns=(
        key("attempt_id", "stage and key, joined by /"),
        Column("stage", TEXT, "which stage"),
        Column("key", TEXT, "which input of that stage: a source_id, a video_id, …"),
        Column("label", TEXT, "the input in words, a file name for instance"),
        Column(
            "outcome",
            TEXT,
            "failed, skipped, waiting (not tried yet: its site is in cooldown), or improvable (done, and tried again "
            "for better rows)",
        ),
        Column("error_class", TEXT, "class of the error, or of the reason to skip"),
        Column("message", TEXT, "the original error text, or the reason"),
        Column(
            "related_key", TEXT, "of a duplicate the video it is the same as; of a waiting input the site in cooldown"
        ),
        Column("tries", pa.int32(), "how often it was tried with the same input"),
        Column("next_try_at", TIME, "when it is tried again; null: when the input changes, or by `retry --all`"),
        Column("partition", TEXT, "the stage's Dagster partition: an ingest batch, a subset, a model"),
        Column("provenance", TEXT, "what the input's rows would carry; an attempt holds only while this is unchanged"),
        Column("run_id", TEXT, "Dagster run of the last try"),
        Column("written_at", TIME, "when the last try ended"),
    ),
)

BATCH_STATES = Table(
    "batch_states",
    "how many inputs of one stage are in each state in one partition, as counted at some versions of the tables",
    key="batch_state_id",
    partition="partition",
    pinned=False,
    columns=(
        key("batch_state_id", "stage and partition, joined by /; of the row of the stage as a whole, stage/"),
        Column("stage", TEXT, "which stage"),
        Column("partition", TEXT, "the stage's Dagster partition; null in the row of the stage as a whole"),
        Column("done", pa.int64(), "inputs whose rows are all there"),
        Column("failed", pa.int64(), "inputs that failed"),
        Column("skipped", pa.int64(), "inputs that were skipped for a reason"),
        Column("waiting", pa.int64(), "inputs whose site is in cooldown"),
        Column("pending", pa.int64(), "inputs that the next run works on"),
        Column("stale_rows", pa.int64(), "rows that the next run removes, for their input is gone"),
        Column("next_try_at", TIME, "when the first input that failed or waits becomes pending"),
        Column(
            "related_keys",
            TEXTS,
            "hashes of the rows that skipped inputs are duplicates of: where one comes or goes, the inputs are counted "
            "again",
        ),
        Column(
            "stage_version", TEXT, "in the row of the stage as a whole: hash of all that decides its inputs' states"
        ),
        Column("table_versions", TEXT, "in the row of the stage as a whole: version of each table that was read, JSON"),
        Column("written_at", TIME, "when they were counted"),
    ),
)

COSTS = Table(
    "costs",
    "what one run spent on one partition of one stage, by one model; or on registering, publishing, and its session",
    key="cost_id",
    partition="partition",
    pinned=False,
    columns=(
        key("cost_id", "run_id, stage, partition and model, joined by /"),
        Column("stage", TEXT, "which stage; or registering, session, an asset that publishes"),
        Column("partition", TEXT, "the stage's Dagster partition"),
        Column("model", TEXT, "the model that was called; empty in the row of the stage as a whole"),
        Column(
            "units", pa.int64(), "inputs that were worked on, also those that failed; of a model those it was asked for"
        ),
        Column("wall_seconds", pa.float64(), "of the stage as a whole; null in the row of a model"),
        Column(
            "processor_seconds",
            pa.float64(),
            "of all cores, by the stage as a whole and its child processes; of a model those of its calls",
        ),
        Column(
            "start_wall_seconds",
            pa.float64(),
            "of wall_seconds, those that do not grow with the inputs: loading models, reading what is pending",
        ),
        Column("start_processor_seconds", pa.float64(), "of processor_seconds, the same"),
        Column("commit_wall_seconds", pa.float64(), "of wall_seconds, those in which rows were committed"),
        Column("commit_processor_seconds", pa.float64(), "of processor_seconds, the same"),
        Column("model_seconds", pa.float64(), "spent waiting for the model; null in the row of the stage as a whole"),
        Column("video_seconds", pa.float64(), "of video that was read"),
        Column("frames", pa.int64(), "that were decoded from video, or given to the model"),
        Column("bytes_read", pa.int64(), "of video files"),
        Column("bytes_written", pa.int64(), "of rows, in memory, before compression"),
        Column("prompt_tokens", pa.int64(), "that models read"),
        Column("output_tokens", pa.int64(), "that models wrote"),
        Column("device", TEXT, "where the model ran, as torch names it, or the server's address"),
        Column("run_id", TEXT, "Dagster run"),
        Column("written_at", TIME, "when the stage ended"),
    ),
)
