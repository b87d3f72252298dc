"""Tables of what models compute of a clip: vectors and scores, and the checkpoint that computes vectors."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import BATCH, MADE_BY, REVISION, TEXT, TIME, VECTOR, Column, Table, key, reference


def _embeddings(name: str, meaning: str, source: str, *, is_searched: bool) -> Table:
    return Table(
        name,
        meaning,
        key="clip_id",
        unit="clip_id",
        partition="ingest_batch",
        parent=("clip_id", "clips"),
        key_begins_with_video=True,
        columns=(
            key("clip_id", "clips", derived_from=("clips.clip_id",)),
            reference("video_id", "raw_videos.video_id"),
            Column("model", TEXT, "the checkpoint that made it", derived_from=("active_checkpoint.checkpoint_id",)),
            Column("dimensions", pa.int32(), "of the model's vectors; the rest of `vector` is zero"),
            Column(
                "vector",
                VECTOR,
                "of length 1, so that a dot product is the cosine",
                derived_from=(source,),
                is_searched=is_searched,
            ),
            BATCH,
            *MADE_BY,
        ),
    )


# Two tables, because an index serves one of them: CLIP models leave a gap between vectors of pictures and of texts, so
# the partitions nearest to a query in one index of both hold captions, and fewer of the right clips are found.
CLIP_EMBEDDINGS = _embeddings(
    "clip_embeddings", "a vector of a clip's frames by the active checkpoint", "frames.jpeg", is_searched=True
)
CAPTION_EMBEDDINGS = _embeddings(
    "caption_embeddings",
    "a vector of a clip's caption by the active checkpoint",
    "clip_captions.caption",
    is_searched=False,
)

CLIP_SCORES = Table(
    "clip_scores",
    "a score of a clip by one model; a subset chooses its own threshold",
    key="score_id",
    unit="score_id",
    partition="ingest_batch",
    parent=("clip_id", "clips"),
    key_begins_with_video=True,
    columns=(
        key("score_id", "clip_id and score, joined by /"),
        reference("clip_id", "clips.clip_id"),
        reference("video_id", "raw_videos.video_id"),
        Column(
            "score",
            TEXT,
            "what is scored: aesthetics, video_text_similarity, … (assets/vectors/clip_scores.py lists them)",
        ),
        Column(
            "value",
            pa.float64(),
            "the score; null where there is none",
            derived_from=(
                "frames.jpeg",
                "clip_captions.caption",
                "clip_embeddings.vector",
                "caption_embeddings.vector",
            ),
        ),
        Column("reason", TEXT, "why there is none"),
        Column("model", TEXT, "the model that scored"),
        REVISION,
        BATCH,
        *MADE_BY,
    ),
)

ACTIVE_CHECKPOINT = Table(
    "active_checkpoint",
    "the checkpoint whose vectors the lake holds: at most one row",
    key="role",
    columns=(
        key("role", "aligner"),
        Column(
            "checkpoint_id",
            TEXT,
            "its name, as in checkpoints, or of the folder that it was taken from",
            derived_from=("checkpoints.checkpoint_id",),
        ),
        Column("path", TEXT, "folder of its files", derived_from=("checkpoints.path",)),
        Column(
            "provenance",
            TEXT,
            "hash of its weights, configuration and vocabulary",
            derived_from=("checkpoints.weights_digest",),
        ),
        Column("written_at", TIME, "when it was activated"),
    ),
)
