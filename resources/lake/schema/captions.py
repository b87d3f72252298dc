"""Tables of what is seen in clips: kinds of things, and captions of single frames and of whole clips."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import (
    BATCH,
    MADE_BY,
    REVISION,
    TEXT,
    TEXTS,
    VECTOR,
    Column,
    Table,
    key,
    reference,
)

CLIP_THINGS = Table(
    "clip_things",
    "the kinds of things that a classifier sees in a clip, and a vector by which clips are alike",
    key="clip_id",
    unit="clip_id",
    partition="ingest_batch",
    parent=("clip_id", "clips"),
    key_begins_with_video=True,
    columns=(
        key("clip_id", "clips", derived_from=("clips.clip_id",)),
        reference("video_id", "raw_videos.video_id"),
        Column(
            "kinds",
            TEXTS,
            "names of kinds of things, most probable first; internvid/things/kinds.txt lists them",
            derived_from=("frames.jpeg",),
        ),
        Column(
            "probabilities",
            pa.list_(pa.float32()),
            "of each of `kinds`, averaged over the frames",
            derived_from=("frames.jpeg",),
        ),
        Column(
            "peaks",
            pa.list_(pa.float32()),
            "probability of each of `kinds` in the frame that shows it best",
            derived_from=("frames.jpeg",),
        ),
        Column("dimensions", pa.int32(), "of the model's vectors; the rest of `vector` is zero"),
        Column(
            "vector",
            VECTOR,
            "of length 1, so that a dot product is the cosine; compared with vectors of the same model alone",
            derived_from=("frames.jpeg",),
            is_searched=True,
        ),
        Column("model", TEXT, "the classifier"),
        REVISION,
        BATCH,
        *MADE_BY,
    ),
)

FRAME_CAPTIONS = Table(
    "frame_captions",
    "one caption of one frame by one model",
    key="frame_caption_id",
    unit="frame_caption_id",
    partition="ingest_batch",
    parent=("frame_id", "frames"),
    key_begins_with_video=True,
    columns=(
        key("frame_caption_id", "frame_id and scale, or clip_id and clip, joined by /"),
        Column(
            "frame_id",
            TEXT,
            "frames; null where the caption is of all frames together",
            derived_from=("frames.frame_id",),
        ),
        reference("clip_id", "clips.clip_id"),
        reference("video_id", "raw_videos.video_id"),
        Column(
            "scale", TEXT, "coarse (the middle frame), fine (one a second) or clip (those of every second, together)"
        ),
        Column(
            "seconds",
            pa.float64(),
            "when the frame is shown, or the clip begins, from the video's first frame",
            derived_from=("frames.seconds", "clips.start_seconds"),
        ),
        Column("caption", TEXT, "text that the model wrote", derived_from=("frames.jpeg",)),
        Column("model", TEXT, "the model that wrote it"),
        REVISION,
        Column("status", TEXT, "success, or truncated where the model was stopped at its limit of new tokens"),
        Column("prompt_tokens", pa.int32(), "tokens the model read, where it counts them"),
        Column("output_tokens", pa.int32(), "tokens it wrote, where it counts them"),
        Column(
            "evidence",
            TEXT,
            "JSON: what the caption is based on, where the model can tell",
            derived_from=("frames.jpeg",),
        ),
        BATCH,
        *MADE_BY,
    ),
)

CLIP_CAPTIONS = Table(
    "clip_captions",
    "a clip's caption, summarised from its frame captions",
    key="clip_id",
    unit="clip_id",
    partition="ingest_batch",
    parent=("clip_id", "clips"),
    key_begins_with_video=True,
    columns=(
        key("clip_id", "clips", derived_from=("clips.clip_id",)),
        reference("video_id", "raw_videos.video_id"),
        Column("caption", TEXT, "text that the model wrote", derived_from=("frame_captions.caption",)),
        Column("model", TEXT, "the model that summarised"),
        REVISION,
        Column("status", TEXT, "success, or truncated where the model was stopped at its limit of new tokens"),
        Column("prompt_tokens", pa.int32(), "tokens the model read, where it counts them"),
        Column("output_tokens", pa.int32(), "tokens it wrote, where it counts them"),
        Column(
            "evidence",
            TEXT,
            "JSON: what each sentence is based on, where the model can tell",
            derived_from=("frame_captions.caption",),
        ),
        Column(
            "caption_terms",
            TEXT,
            "what search looks in: the caption, with the characters of scripts without spaces singly and in pairs, "
            "what was measured of its middle frame, and words for the kinds of things seen in the clip",
            derived_from=("clip_captions.caption", "frame_captions.caption", "clip_things.kinds"),
        ),
        Column(
            "word_count",
            pa.int32(),
            "words of the caption; null where its script writes no spaces",
            derived_from=("clip_captions.caption",),
        ),
        Column(
            "nouns",
            TEXTS,
            "distinct nouns, as lemmas, in order of appearance; null where there is no tagger for its language",
            derived_from=("clip_captions.caption",),
        ),
        Column(
            "verbs",
            TEXTS,
            "distinct verbs, as lemmas, in order of appearance; null as nouns are",
            derived_from=("clip_captions.caption",),
        ),
        Column("why_no_words", TEXT, "why nouns and verbs are null; null where they are not"),
        BATCH,
        *MADE_BY,
    ),
)
