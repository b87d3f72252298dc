"""What is run together."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.partitions import INGEST_BATCH
from resources.incremental.declaration import StageDefinition
from resources.lake.store import Lake
from resources.models.activation import activate_named
from resources.models.aligner import Aligner

CORPUS = dg.AssetSelection.assets("duplicates", "corpus_snapshot", "statistics", "internvid_jsonl", "report")
CAPTION_ALARMS = dg.AssetSelection.checks(
    *(
        dg.AssetCheckKey(dg.AssetKey(asset), name)
        for asset, name in (
            ("clip_embeddings", "captions_fit_their_clips"),
            ("clip_embeddings", "captions_fit_within_videos"),
            ("clip_captions", "captions_are_sound"),
        )
    )
)


def build_jobs(stages: Sequence[StageDefinition]) -> list[Any]:
    """Builds the jobs. stages: all of them."""
    whole_lake_checks = dg.AssetSelection.checks_for_assets(dg.AssetKey("corpus_snapshot"))
    tables = [
        table.name for definition in stages if definition.partition == INGEST_BATCH for table in definition.outputs
    ]
    return [
        dg.define_asset_job(
            "ingest",
            selection=dg.AssetSelection.assets(*tables),
            description="Brings one ingest batch up to date, from its files to captioned, embedded and scored clips.",
        ),
        dg.define_asset_job(
            "register",
            selection=dg.AssetSelection.assets("sources"),
            description="Registers what lies in the inbox, or in the given locations, in new ingest batches.",
        ),
        dg.define_asset_job(
            "discover",
            selection=dg.AssetSelection.assets("feed_polls"),
            description="Polls the feeds that are due; what is new there becomes sources, in new ingest batches.",
        ),
        dg.define_asset_job(
            "check_sources",
            selection=dg.AssetSelection.assets("source_checks"),
            description="Asks whether those web sources can still be had that were not heard of for longest.",
        ),
        dg.define_asset_job(
            "pin",
            selection=dg.AssetSelection.assets("duplicates", "corpus_snapshot") - whole_lake_checks,
            description="Looks for copies among the videos, and pins the lake as it is, as a snapshot.",
        ),
        dg.define_asset_job(
            "select",
            selection=dg.AssetSelection.assets("subsets", "subset_snapshots"),
            description="Selects a subset from the newest snapshot.",
        ),
        dg.define_asset_job(
            "write",
            selection=dg.AssetSelection.assets("interleaved", "instructions"),
            description="Writes a subset as interleaved documents, and the dialogues about its clips, as files.",
        ),
        dg.define_asset_job(
            "train",
            selection=dg.AssetSelection.assets("checkpoints", "evaluations"),
            description="Trains a recipe on a subset, and evaluates the checkpoint.",
        ),
        dg.define_asset_job(
            "train_chat",
            selection=dg.AssetSelection.assets("chat_checkpoints"),
            description="Trains a model that talks about videos, by a recipe on the dialogues about a subset's clips.",
        ),
        dg.define_asset_job(
            "train_generator",
            selection=dg.AssetSelection.assets("generation_checkpoints", "generated_videos"),
            description="Trains a model that generates videos from text, by a recipe on a subset, and samples it.",
        ),
        dg.define_asset_job(
            "export",
            selection=dg.AssetSelection.assets("exports"),
            description="Writes a subset as files, in one of the forms that trainers and hubs read.",
        ),
        activate_checkpoint,
        dg.define_asset_job(
            "finetune",
            selection=dg.AssetSelection.assets("finetuned_checkpoints"),
            description="Fine-tunes a checkpoint on the train split of a benchmark that lies in a folder.",
        ),
        dg.define_asset_job(
            "publish",
            selection=CORPUS - whole_lake_checks,
            description="Pins the lake as it is and makes what people read from it: statistics, report, export.",
        ),
        dg.define_asset_job(
            "check_lake",
            selection=whole_lake_checks | CAPTION_ALARMS,
            description="Counts and keys over the whole lake, and the alarms of its newest batches' captions.",
        ),
        maintenance,
    ]


class Activation(dg.Config):
    """checkpoint: an id of the table checkpoints, or a checkpoint's folder."""

    checkpoint: str


@dg.op(out=dg.Out(dg.Nothing))
def activate_it(context: dg.OpExecutionContext, config: Activation, lake: Lake, aligner: Aligner) -> None:
    """Activates the checkpoint and says so to Dagster, which then shows vectors by another one as stale."""
    activate_named(context.instance, lake, aligner, config.checkpoint)


@dg.job(description="Makes a checkpoint the active one. Vectors by another are recomputed.")
def activate_checkpoint() -> None:
    activate_it()


@dg.op(pool="index")
def optimize_tables(context: dg.OpExecutionContext, lake: Lake) -> None:
    """Compacts the tables, folds new rows into their indexes, and removes old snapshots and versions."""
    from resources.corpus.snapshots import remove_unused_snapshots

    lake.create_tables()
    context.log.info(f"snapshots removed: {len(remove_unused_snapshots(lake))}")
    for table, result in lake.optimize().items():
        context.log.info(f"{table}: {result}")


@dg.job(description="Compacts and indexes the tables and removes old snapshots and versions. May run beside writers.")
def maintenance() -> None:
    optimize_tables()
