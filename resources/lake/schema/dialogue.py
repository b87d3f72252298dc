"""Tables of what language models are trained on: documents of clips and texts, and dialogues about a video."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import (
    BATCH,
    MADE_BY,
    REVISION,
    TEXT,
    TEXTS,
    TIME,
    TRAINED_ON,
    Column,
    Table,
    key,
    reference,
)

INTERLEAVED = Table(
    "interleaved",
    "a document of a subset: the clips of a video, or of two, in order with their texts",
    key="document_id",
    unit="subset || '/' || form",
    partition="subset",
    pinned=False,
    columns=(
        key("document_id", "subset, form and video_id, of form c both video_ids, joined by /"),
        Column("subset", TEXT, "name of the subset", derived_from=("subsets.subset",)),
        Column("form", TEXT, "a (clips and captions), b (and what is said) or c (two documents of form a together)"),
        reference("video_id", "raw_videos.video_id"),
        Column("other_video_id", TEXT, "raw_videos: the second video of form c", derived_from=("raw_videos.video_id",)),
        Column("split", TEXT, "train, validation or test", derived_from=("subsets.split",)),
        Column(
            "texts",
            TEXTS,
            "captions, and in form b what is said, in order; null where a video stands",
            derived_from=("clip_captions.caption", "transcripts.text", "transcripts.english"),
        ),
        Column(
            "images",
            TEXTS,
            "as long as texts: the clip whose video stands there; null where a text stands",
            derived_from=("clips.clip_id",),
        ),
        Column(
            "clips",
            TEXT,
            "JSON: each clip in order with its video, uri, span and middle frame, and its indices in texts and images",
            derived_from=("clips.clip_id", "raw_videos.source", "frames.frame_id"),
        ),
        Column("clip_count", pa.int32(), "clips in it", derived_from=("subsets.clip_id",)),
        Column("dropped_videos", pa.int32(), "clips of them whose video was dropped, so that only their texts stand"),
        *MADE_BY,
    ),
)

DIALOGUES = Table(
    "dialogues",
    "a dialogue about a stretch of a video: several questions, each with an answer and the clips that show it",
    key="dialogue_id",
    unit="video_id",
    partition="ingest_batch",
    parent=("video_id", "raw_videos"),
    key_begins_with_video=True,
    columns=(
        key("dialogue_id", "video_id and number of the stretch, joined by /"),
        reference("video_id", "raw_videos.video_id"),
        Column(
            "start_seconds",
            pa.float64(),
            "beginning of the stretch, from the video's first frame",
            derived_from=("clips.start_seconds",),
        ),
        Column(
            "end_seconds", pa.float64(), "its end, from the video's first frame", derived_from=("clips.end_seconds",)
        ),
        Column("clip_ids", TEXTS, "the clips of the stretch, in order of time", derived_from=("clips.clip_id",)),
        Column(
            "turns",
            TEXT,
            "JSON: of each turn kind, question, answer, the clips that show it, and the facts of the lake behind it",
            derived_from=(
                "clip_captions.caption",
                "frame_captions.evidence",
                "transcripts.text",
                "clips.pan_x",
                "clips.pan_y",
                "clips.zoom",
            ),
        ),
        Column("turn_count", pa.int32(), "turns in it"),
        Column("model", TEXT, "the model that wrote it, or the embedded templates"),
        REVISION,
        Column("status", TEXT, "success, or truncated where the model was stopped at its limit of new tokens"),
        Column("prompt_tokens", pa.int32(), "tokens the model read, where it counts them"),
        Column("output_tokens", pa.int32(), "tokens it wrote, where it counts them"),
        BATCH,
        *MADE_BY,
    ),
)

CHAT_ANSWERS = Table(
    "chat_answers",
    "an answer of a chat to a benchmark's question, or what a judge said of it; `internvid evaluate-chat` writes it",
    key="answer_id",
    pinned=False,
    columns=(
        key("answer_id", "checkpoint_id, benchmark, number of the question and aspect, joined by /"),
        Column("checkpoint_id", TEXT, "chat_checkpoints", derived_from=("chat_checkpoints.checkpoint_id",)),
        Column("benchmark", TEXT, "name of the benchmark"),
        Column("video", TEXT, "name of the video in the benchmark"),
        Column("kind", TEXT, "what is asked for, where the benchmark tells: its task or type"),
        Column("question", TEXT, "what was asked"),
        Column("other_question", TEXT, "the same in other words; empty where there is none"),
        Column("options", TEXTS, "the answers to choose from; null: it was answered in words"),
        Column("expected", TEXT, "the right answer"),
        Column("answer", TEXT, "the chat's answer, or the option that it finds likeliest"),
        Column("other_answer", TEXT, "its answer to the other question"),
        Column("is_right", pa.bool_(), "whether the answer is the right one, word for word, or by the judge"),
        Column(
            "aspect",
            TEXT,
            "what a judge weighed: answer, correctness, detail, context, temporal or consistency; empty: the answer",
        ),
        Column("judge", TEXT, "the model that judged it; null: none did"),
        Column("judge_revision", TEXT, "the model's name in the server's answer"),
        Column("judge_version", TEXT, "the judge with its settings: seed, temperature, and a hash of the prompts"),
        Column("prompt", TEXT, "what the judge was asked, as a whole"),
        Column("reply", TEXT, "what it replied, as a whole; or its error"),
        Column("score", pa.float64(), "that the judge gave, 0 to 5; null where its reply gives none"),
        Column("provenance", TEXT, "hash of what decided the row: the chat, the question, how it was asked, the judge"),
        Column("version", TEXT, "how the question was asked, or judged"),
        Column("written_at", TIME, "when the row was written"),
    ),
)

CHAT_CHECKPOINTS = Table(
    "chat_checkpoints",
    "a trained model that talks about videos",
    key="checkpoint_id",
    unit="chat",
    partition="chat",
    append_only=True,
    pinned=False,
    columns=(
        key("checkpoint_id", "recipe, subset and the beginning of its provenance"),
        Column("chat", TEXT, "the Dagster partition: recipe and subset, joined by |"),
        Column("recipe", TEXT, "a recipe of internvid/dialogue/recipe.py"),
        *TRAINED_ON,
        Column(
            "vision_checkpoint_id",
            TEXT,
            "the ViCLIP whose tokens it reads: the active checkpoint when it was trained",
            derived_from=("active_checkpoint.checkpoint_id",),
        ),
        Column("language_model", TEXT, "name and version of the language model it began with; null: a new one"),
        Column("clips", pa.int64(), "clips that may be shown in its dialogues"),
        Column("dialogues", pa.int64(), "dialogues that it was trained on", derived_from=("dialogues.turns",)),
        Column("steps", pa.int64(), "updates of the optimiser"),
        Column("samples", pa.int64(), "dialogues seen, counted each time"),
        Column("seconds", pa.float64(), "spent on training, over all tries"),
        Column("loss", pa.float64(), "mean over the last steps, per token of an answer"),
        *MADE_BY,
    ),
)
