"""Tables of models that generate videos from text, and of the videos that they generated."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import MADE_BY, TEXT, TRAINED_ON, Column, Table, key, reference

GENERATION_CHECKPOINTS = Table(
    "generation_checkpoints",
    "a trained model that generates videos from text",
    key="checkpoint_id",
    unit="generator",
    partition="generator",
    append_only=True,
    pinned=False,
    columns=(
        key("checkpoint_id", "recipe, subset and the beginning of its provenance"),
        Column("generator", TEXT, "the Dagster partition: recipe and subset, joined by |"),
        Column("recipe", TEXT, "a recipe of internvid/generation/recipe.py"),
        *TRAINED_ON,
        Column("image_model", TEXT, "name and version of the text-to-image model it began with; null: a new one"),
        Column("clips", pa.int64(), "clips that it was trained on", derived_from=("subset_snapshots.train_clips",)),
        Column("steps", pa.int64(), "updates of the optimiser"),
        Column("samples", pa.int64(), "clips seen, counted each time"),
        Column("seconds", pa.float64(), "spent on training, over all tries"),
        Column("loss", pa.float64(), "mean over the last steps"),
        *MADE_BY,
    ),
)

GENERATED_VIDEOS = Table(
    "generated_videos",
    "a video that a model generated from a prompt with a seed",
    key="generated_video_id",
    unit="prompt_of_generator",
    partition="generator",
    append_only=True,
    pinned=False,
    columns=(
        key("generated_video_id", "checkpoint_id, seed and a hash of prompt and sampling, joined by /"),
        Column("prompt_of_generator", TEXT, "generator, seed and prompt, joined by /"),
        Column(
            "generator",
            TEXT,
            "the Dagster partition: recipe and subset, joined by |",
            derived_from=("generation_checkpoints.generator",),
        ),
        reference("checkpoint_id", "generation_checkpoints.checkpoint_id"),
        Column(
            "prompt",
            TEXT,
            "the text that it was generated from: the user's, or a caption of a held-out clip",
            derived_from=("clip_captions.caption",),
        ),
        Column("clip_id", TEXT, "clips: whose caption the prompt is, or null", derived_from=("clips.clip_id",)),
        Column("video_id", TEXT, "raw_videos: of that clip, or null", derived_from=("raw_videos.video_id",)),
        Column("seed", pa.int64(), "of its noise"),
        Column("sampling", TEXT, "sampler, its steps, and guidance"),
        Column("mp4", pa.binary(), "the video, H.264 in MP4", derived_from=("generation_checkpoints.weights_digest",)),
        Column("frames", pa.int32(), "frames of it"),
        Column("frames_per_second", pa.float64(), "at which it is shown"),
        Column("width", pa.int32(), "pixels"),
        Column("height", pa.int32(), "pixels"),
        *MADE_BY,
    ),
)
