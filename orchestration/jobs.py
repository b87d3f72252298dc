"""What is run together."""

import dagster as dg

from assets.checks import keys_equal_clip_keys, no_orphan_rows, stage_counts
from assets.ingest_batches import ingest_batches

PARTITIONED = dg.AssetSelection.assets("raw_videos", "clips", "frames", "frame_captions", "clip_captions")
WHOLE_LAKE_CHECKS = dg.AssetSelection.checks(stage_counts, keys_equal_clip_keys, no_orphan_rows)
CORPUS = dg.AssetSelection.assets("corpus_snapshot", "statistics", "internvid_jsonl", "report")

ingest = dg.define_asset_job(
    "ingest",
    selection=PARTITIONED,
    partitions_def=ingest_batches,
    description="Brings one ingest batch up to date, from its files to captioned clips.",
)

publish = dg.define_asset_job(
    "publish",
    selection=CORPUS - WHOLE_LAKE_CHECKS,
    description="Pins the lake as it is and makes what people read from it: statistics, report, export.",
)

check_lake = dg.define_asset_job(
    "check_lake",
    selection=WHOLE_LAKE_CHECKS,
    description="Counts and keys over the whole lake. Writes nothing.",
)
