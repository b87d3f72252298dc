"""Tables of what is made from a snapshot: subsets, the models that are trained on them, and their evaluations."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import MADE_BY, TEXT, TRAINED_ON, Column, Table, key, reference

SUBSETS = Table(
    "subsets",
    "a clip in a named subset, selected from a snapshot by sql/subsets/",
    key="subset_clip_id",
    unit="subset",
    partition="subset",
    pinned=False,
    columns=(
        key("subset_clip_id", "subset and clip_id, joined by /"),
        Column("subset", TEXT, "name of the subset"),
        reference("clip_id", "clips.clip_id"),
        reference("video_id", "raw_videos.video_id"),
        Column("split", TEXT, "train, validation or test: all clips of a video are in the same"),
        Column("weight", pa.float64(), "sampling weight with which it was drawn"),
        Column("reason", TEXT, "why the clip is in the subset"),
        Column(
            "content",
            TEXT,
            "hash of the clip, its frames and its caption: what a model trained on it depends on",
            derived_from=("clips.digest", "frames.digest", "clip_captions.digest"),
        ),
        *MADE_BY,
    ),
)

SUBSET_SNAPSHOTS = Table(
    "subset_snapshots",
    "a subset as it was last selected: its snapshot, parameters and number of clips",
    key="subset",
    unit="subset",
    partition="subset",
    pinned=False,
    columns=(
        key("subset", "name of the subset", derived_from=("subsets.subset",)),
        Column(
            "snapshot",
            TEXT,
            "the snapshot that it was selected from (corpus_snapshot)",
            derived_from=("corpus_snapshot.snapshot",),
        ),
        Column("parameters", TEXT, "JSON: every parameter of its statement, with its value"),
        Column("statement", TEXT, "the SQL that selected it"),
        Column("waterfall", TEXT, "JSON: each condition with the clips that it removed and that it left"),
        Column("clips", pa.int64(), "in the subset", derived_from=("subsets.clip_id",)),
        Column("train_clips", pa.int64(), "of them in the train split", derived_from=("subsets.split",)),
        Column("validation_clips", pa.int64(), "in the validation split", derived_from=("subsets.split",)),
        Column("test_clips", pa.int64(), "in the test split", derived_from=("subsets.split",)),
        *MADE_BY,
    ),
)

CHECKPOINTS = Table(
    "checkpoints",
    "a trained ViCLIP",
    key="checkpoint_id",
    unit="model",
    partition="model",
    append_only=True,
    pinned=False,
    columns=(
        key("checkpoint_id", "recipe, subset and the beginning of its provenance"),
        Column(
            "model", TEXT, "the Dagster partition: recipe and subset, joined by |; of a fine-tuned one recipe and base"
        ),
        Column("recipe", TEXT, "internvid/viclip/recipes/; finetune-BENCHMARK of one that was fine-tuned"),
        *TRAINED_ON,
        Column(
            "base_checkpoint_id",
            TEXT,
            "the checkpoint that it was fine-tuned from, which names subset and snapshot; null: it was not fine-tuned",
            derived_from=("checkpoints.checkpoint_id",),
        ),
        Column("benchmark", TEXT, "the benchmark that it was fine-tuned on; null: it was not fine-tuned"),
        Column(
            "clips",
            pa.int64(),
            "clips or videos that it was trained on",
            derived_from=("subset_snapshots.train_clips",),
        ),
        Column("steps", pa.int64(), "updates of the optimiser"),
        Column("samples", pa.int64(), "clips seen, counted each time"),
        Column("seconds", pa.float64(), "spent on training, over all tries"),
        Column("samples_per_second", pa.float64(), "clips seen in a second of training"),
        Column("waiting_share", pa.float64(), "share of the time in which nothing was computed: data were waited for"),
        Column("peak_share", pa.float64(), "useful arithmetic as a share of what the GPU can do; null on a CPU"),
        Column("memory_bytes", pa.int64(), "most that the first process held of the GPU's memory, or of the machine's"),
        Column("loss", pa.float64(), "mean over the last steps"),
        Column(
            "accuracy",
            pa.float64(),
            "share of the clips of the last batches that rank their own caption first, and the reverse; of a model "
            "that was fine-tuned on classes, share of the clips whose class is right",
        ),
        *MADE_BY,
    ),
)

EVALUATIONS = Table(
    "evaluations",
    "a metric of a checkpoint on a benchmark, or of what it generated",
    key="evaluation_id",
    unit="benchmark_of_model",
    partition="model",
    append_only=True,
    pinned=False,
    columns=(
        key(
            "evaluation_id",
            "checkpoint_id, benchmark and metric, joined by /; of `internvid evaluate` with split and protocol",
        ),
        Column("benchmark_of_model", TEXT, "model and benchmark, joined by /; and split and protocol"),
        Column(
            "model",
            TEXT,
            "the Dagster partition: recipe and subset, joined by |; of `internvid evaluate` the checkpoint_id",
            derived_from=("checkpoints.model",),
        ),
        Column(
            "checkpoint_id",
            TEXT,
            "checkpoints, chat_checkpoints, or another table of trained models",
            derived_from=("checkpoints.checkpoint_id", "chat_checkpoints.checkpoint_id"),
        ),
        Column("benchmark", TEXT, "held_out (the snapshot's test videos), or a benchmark's name"),
        Column("split", TEXT, "of the benchmark: that of the paper's tables"),
        Column(
            "protocol",
            TEXT,
            "what decides a value beside model and data: frames, precision, judge, …",
        ),
        Column("metric", TEXT, "text_to_video_recall_at_1 and the like"),
        Column("value", pa.float64(), "value of the metric, in its unit", derived_from=("checkpoints.weights_digest",)),
        Column("unit", TEXT, "%, rank (from 1), of 5 (a judge's score), distance, score or cosine"),
        Column(
            "chance",
            pa.float64(),
            "its value by guessing: a ranking at random, or the most frequent answer",
        ),
        Column("published", pa.float64(), "the paper's best value of this metric; null where it has none"),
        Column("items", pa.int64(), "clips or videos that it was measured over"),
        Column("named", pa.int64(), "clips or videos that the benchmark names, with those that could not be read"),
        Column("data_digest", TEXT, "of the benchmark's annotations, and of the name and size of its videos"),
        *MADE_BY,
    ),
)
