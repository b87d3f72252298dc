"""Tables of what is said in a video, and in each of its clips."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from resources.lake.schema.table import BATCH, MADE_BY, REVISION, TEXT, Column, Table, key, reference

SOUND_OR_SUBTITLES = ("raw_videos.path", "sources.subtitles", "downloads.subtitles")

SPEECH = Table(
    "speech",
    "a cue: what is said in a video between two times",
    key="cue_id",
    unit="video_id",
    partition="ingest_batch",
    parent=("video_id", "raw_videos"),
    key_begins_with_video=True,
    columns=(
        key("cue_id", "video_id and number of the cue, joined by /"),
        reference("video_id", "raw_videos.video_id"),
        Column("start_seconds", pa.float64(), "from the video's first frame", derived_from=SOUND_OR_SUBTITLES),
        Column("end_seconds", pa.float64(), "from the video's first frame", derived_from=SOUND_OR_SUBTITLES),
        Column("text", TEXT, "as said or subtitled, without markup", derived_from=SOUND_OR_SUBTITLES),
        Column(
            "language",
            TEXT,
            "ISO 639-1 code, or 639-3 where there is none; null where it is unknown",
            derived_from=SOUND_OR_SUBTITLES,
        ),
        Column(
            "source",
            TEXT,
            "subtitles:uploaded, subtitles:automatic, subtitles:embedded, or speech recognition",
            derived_from=SOUND_OR_SUBTITLES,
        ),
        Column(
            "origin",
            TEXT,
            "of subtitles the file's name or the number of the stream; of speech recognition the sound heard",
            derived_from=SOUND_OR_SUBTITLES,
        ),
        Column("model", TEXT, "the model that recognised it; null for subtitles"),
        REVISION,
        BATCH,
        *MADE_BY,
    ),
)

TRANSCRIPTS = Table(
    "transcripts",
    "what is said within a clip",
    key="clip_id",
    unit="clip_id",
    partition="ingest_batch",
    parent=("clip_id", "clips"),
    key_begins_with_video=True,
    columns=(
        key("clip_id", "clips", derived_from=("clips.clip_id",)),
        reference("video_id", "raw_videos.video_id"),
        Column(
            "text",
            TEXT,
            "of all cues within the clip, in order of time; of one over a cut the words on this side",
            derived_from=("speech.text",),
        ),
        Column("language", TEXT, "as in speech", derived_from=("speech.language",)),
        Column(
            "english",
            TEXT,
            "the text in English: as spoken, or translated; null where there is none",
            derived_from=("transcripts.text",),
        ),
        Column("why_no_english", TEXT, "why there is none"),
        Column("source", TEXT, "where the text came from, as in speech", derived_from=("speech.source",)),
        Column("model", TEXT, "the model that recognised it; null for subtitles", derived_from=("speech.model",)),
        replace(REVISION, derived_from=("speech.revision",)),
        Column("translator", TEXT, "the model that translated; null where none did"),
        Column("translator_revision", TEXT, "which state of that model"),
        Column("cues", pa.int32(), "number of cues that it was made from", derived_from=("speech.cue_id",)),
        BATCH,
        *MADE_BY,
    ),
)
