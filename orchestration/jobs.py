"""What is run together."""

import dagster as dg

from assets.checks import (
    caption_alarms,
    captions_are_sound,
    keys_equal_clip_keys,
    keys_equal_frame_keys,
    no_orphan_rows,
    stage_counts,
)
from assets.corpus_snapshot import IN_SNAPSHOT
from assets.ingest_batches import ingest_batches
from assets.model_partitions import model_partitions, subset_partitions

PARTITIONED = dg.AssetSelection.assets(*IN_SNAPSHOT)
WHOLE_LAKE_CHECKS = dg.AssetSelection.checks(stage_counts, keys_equal_clip_keys, keys_equal_frame_keys, no_orphan_rows)
CORPUS = dg.AssetSelection.assets("duplicates", "corpus_snapshot", "statistics", "internvid_jsonl", "report")

ingest = dg.define_asset_job(
    "ingest",
    selection=PARTITIONED,
    partitions_def=ingest_batches,
    description="Brings one ingest batch up to date, from its files to captioned, embedded and scored clips.",
)

pin = dg.define_asset_job(
    "pin",
    selection=dg.AssetSelection.assets("duplicates", "corpus_snapshot") - WHOLE_LAKE_CHECKS,
    description="Looks for copies among the videos, and pins the lake as it is, as a snapshot.",
)

select = dg.define_asset_job(
    "select",
    selection=dg.AssetSelection.assets("subsets", "subset_snapshots"),
    partitions_def=subset_partitions,
    description="Selects a subset from the newest snapshot.",
)

train = dg.define_asset_job(
    "train",
    selection=dg.AssetSelection.assets("checkpoints", "evaluations"),
    partitions_def=model_partitions,
    description="Trains a recipe on a subset, and evaluates what came of it.",
)

publish = dg.define_asset_job(
    "publish",
    selection=CORPUS - WHOLE_LAKE_CHECKS,
    description="Pins the lake as it is and makes what people read from it: statistics, report, export.",
)

check_lake = dg.define_asset_job(
    "check_lake",
    selection=WHOLE_LAKE_CHECKS | dg.AssetSelection.checks(caption_alarms, captions_are_sound),
    description="Counts and keys over the whole lake, and the alarms of its newest batches' captions. Writes nothing.",
)
