"""Tables of what people say of the data: the samples that were drawn for them, and their judgements."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import TEXT, TIME, Column, Table, key, reference

REVIEW_SAMPLES = Table(
    "review_samples",
    "a clip that was drawn at random for people to judge",
    key="sample_clip_id",
    key_begins_with_video=True,
    depends_on="stratum || stratum_clips",
    columns=(
        key("sample_clip_id", "clip_id and sample, joined by /"),
        Column("sample", TEXT, "name of the sample"),
        Column("kind", TEXT, "review (caption and cuts are judged) or comparison (two captions of the clip are)"),
        reference("clip_id", "clips.clip_id"),
        reference("video_id", "raw_videos.video_id"),
        Column("position", pa.int32(), "place in the order of review, which is random over all strata; from 1"),
        Column("stratum", TEXT, "the part of the population that it was drawn from, in words"),
        Column("stratum_clips", pa.int64(), "clips of that part when it was drawn"),
        Column("population_clips", pa.int64(), "clips of all parts when it was drawn"),
        Column("strata_by", TEXT, "what the parts differ in, joined by commas: category, duration, score, model"),
        Column("subset", TEXT, "the subset that it was drawn from; null: all clips with a caption"),
        Column("seed", pa.int64(), "of the draw"),
        Column(
            "snapshot",
            TEXT,
            "of a comparison: the snapshot that has the captions a",
            derived_from=("corpus_snapshot.snapshot",),
        ),
        Column(
            "other_snapshot",
            TEXT,
            "of a comparison: the snapshot that has the captions b; null: the lake as it was when they were judged",
            derived_from=("corpus_snapshot.snapshot",),
        ),
        Column("drawn_by", TEXT, "who asked for it"),
        Column("written_at", TIME, "when it was drawn"),
    ),
)

JUDGEMENTS = Table(
    "judgements",
    "what one person said of one thing of a clip; rows are appended by the explorer only",
    key="judgement_id",
    key_begins_with_video=True,
    depends_on="what || verdict",
    columns=(
        key("judgement_id", "clip_id and a random number, joined by /"),
        reference("clip_id", "clips.clip_id"),
        reference("video_id", "raw_videos.video_id"),
        Column("what", TEXT, "what was judged: caption, cut, safety, or comparison (two captions of the clip)"),
        Column(
            "verdict",
            TEXT,
            "of a caption: good, partly, wrong; of a cut: good, bad; of safety: safe, unsafe; of a comparison: a, b "
            "(the better one) or equal",
        ),
        Column(
            "model",
            TEXT,
            "the model that wrote the caption, or the version that cut the clip; of a comparison that of caption a",
            derived_from=("clip_captions.model", "clips.version"),
        ),
        Column("other_model", TEXT, "of a comparison: the model of caption b", derived_from=("clip_captions.model",)),
        Column(
            "judged_digest",
            TEXT,
            "digest of the row that was judged: another one now means that it has changed since",
            derived_from=("clip_captions.digest", "clips.digest"),
        ),
        Column("shown_first", TEXT, "of a comparison: a or b, the caption that was shown first"),
        Column(
            "sample",
            TEXT,
            "the sample that it was drawn in; null: someone chose the clip, so that it says nothing about the others",
            derived_from=("review_samples.sample",),
        ),
        Column("judge", TEXT, "who judged"),
        Column("written_at", TIME, "when"),
    ),
)
