"""Tables of the corpus as a whole: copies within it, its snapshots, and what was exported from it."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import TEXT, TEXTS, TIME, Column, Table, key

DUPLICATES = Table(
    "duplicates",
    "two videos of which one is a copy of the other, or holds part of it; nothing is deleted for it",
    key="pair_id",
    depends_on="kind || kept",
    columns=(
        key("pair_id", "both video_ids, the lower first, joined by /"),
        Column("video_id", TEXT, "raw_videos: the lower of the two", derived_from=("raw_videos.video_id",)),
        Column("other_video_id", TEXT, "raw_videos: the higher of the two", derived_from=("raw_videos.video_id",)),
        Column(
            "kind",
            TEXT,
            "packets (the same pictures in another container) or perceptual (re-encoded, cropped, …)",
            derived_from=("raw_videos.packets_digest", "fingerprints.hashes"),
        ),
        Column(
            "similarity",
            pa.float64(),
            "share of the shorter video's frames that the other also has",
            derived_from=("fingerprints.hashes", "fingerprints.seconds"),
        ),
        Column(
            "offset_seconds",
            pa.float64(),
            "how much later the other video shows the same content",
            derived_from=("fingerprints.hashes", "fingerprints.seconds"),
        ),
        Column(
            "speed",
            pa.float64(),
            "how much faster the other video plays",
            derived_from=("fingerprints.hashes", "fingerprints.seconds"),
        ),
        Column("kept", TEXT, "the video that a subset without duplicates keeps"),
        Column("why_kept", TEXT, "the rule that decided it"),
        Column(
            "evidence",
            TEXT,
            "JSON: frames compared, frames alike, mean distance of their hashes",
            derived_from=("fingerprints.hashes", "fingerprints.seconds"),
        ),
        Column("run_id", TEXT, "Dagster run"),
        Column("written_at", TIME, "when it was found"),
    ),
)

COMPARISONS = Table(
    "comparisons",
    "a video that was compared with all others, to find copies",
    key="video_id",
    pinned=False,
    columns=(
        key("video_id", "raw_videos", derived_from=("raw_videos.video_id",)),
        Column("pairs", pa.int32(), "copies that were found of it", derived_from=("duplicates.pair_id",)),
        Column(
            "provenance",
            TEXT,
            "hash of its fingerprint and of how fingerprints are compared",
            derived_from=("fingerprints.digest",),
        ),
        Column("run_id", TEXT, "Dagster run"),
        Column("written_at", TIME, "when it was compared"),
    ),
)

COPY_KEYS = Table(
    "copy_keys",
    "a key by which copies of a video are looked up: some of its fingerprint, of videos that were compared",
    key="copy_key_id",
    pinned=False,
    key_begins_with_video=True,
    columns=(
        key("copy_key_id", "video_id, and the key in hexadecimal digits, joined by /"),
        Column(
            "copy_key",
            pa.int32(),
            "two blocks of a frame's hash: see internvid/video/copy_keys.py",
            derived_from=("fingerprints.hashes",),
        ),
        Column("further_bits", pa.int64(), "the next 64 bits of the same hash", derived_from=("fingerprints.hashes",)),
    ),
)

CORPUS_SNAPSHOT = Table(
    "corpus_snapshot",
    "the version of one table within a pinned state of the whole lake",
    key="snapshot_table",
    pinned=False,
    columns=(
        key("snapshot_table", "snapshot and table_name, joined by /"),
        Column("snapshot", TEXT, "name of the snapshot, and of the tag that every table carries"),
        Column("table_name", TEXT, "which table"),
        Column("table_version", pa.int64(), "Lance version of that table"),
        Column("row_count", pa.int64(), "its rows at that version"),
        Column("digest", TEXT, "hash of its keys and provenances at that version"),
        Column("run_id", TEXT, "Dagster run that made it"),
        Column("written_at", TIME, "when it was made"),
        Column("label", TEXT, "the name that a user gave the snapshot, which is kept then; null without"),
    ),
)

REMOVED_SNAPSHOTS = Table(
    "removed_snapshots",
    "a snapshot that went with a forgotten video, or a pin after it; how it differs from the next pin is kept",
    key="snapshot",
    pinned=False,
    columns=(
        key("snapshot", "name of the snapshot, or of the pin", derived_from=("corpus_snapshot.snapshot",)),
        Column("label", TEXT, "the name that a user gave it; null without", derived_from=("corpus_snapshot.label",)),
        Column("taken_at", TIME, "when it was taken", derived_from=("corpus_snapshot.written_at",)),
        Column("tables", TEXTS, "the tables that it pinned"),
        Column("pin", TEXT, "the tag of the tables as they were after the video was forgotten"),
        Column("run_id", TEXT, "which command removed it"),
        Column("written_at", TIME, "when it was removed"),
    ),
)

SNAPSHOT_CHANGES = Table(
    "snapshot_changes",
    "a row of a table that is another in a removed snapshot and in the pin after it; named by hashes alone",
    key="change_id",
    pinned=False,
    columns=(
        key("change_id", "snapshot, table_name and key_hash, joined by /"),
        Column("snapshot", TEXT, "removed_snapshots", derived_from=("removed_snapshots.snapshot",)),
        Column("table_name", TEXT, "which table"),
        Column("key_hash", TEXT, "hash of the row's key"),
        Column("video_hash", TEXT, "hash of its video; null in tables without"),
        Column("content_before", TEXT, "hash of the row in the snapshot, with what made it; null: it was not there"),
        Column("digest_before", TEXT, "hash of what it said"),
        Column("made_by_before", TEXT, "model and version that made it"),
        Column("content_after", TEXT, "hash of the row in the pin, with what made it; null: it is not there"),
        Column("digest_after", TEXT, "hash of what it says"),
        Column("made_by_after", TEXT, "model and version that made it"),
    ),
)

EXPORTS = Table(
    "exports",
    "a file or folder that was written out of the lake, for others to read",
    key="export_id",
    pinned=False,
    columns=(
        key("export_id", "path, and time or a hash of what was exported, joined by @"),
        Column("path", TEXT, "where it was written"),
        Column("form", TEXT, "jsonl, hf, webdataset, …; null: one file of JSON lines"),
        Column(
            "subset", TEXT, "the subset that it holds; null: every captioned clip", derived_from=("subsets.subset",)
        ),
        Column(
            "snapshot",
            TEXT,
            "the snapshot that it was written from; null: the tables as they were then",
            derived_from=("corpus_snapshot.snapshot",),
        ),
        Column("clips", pa.int64(), "clips in it; 0 while it is made", derived_from=("clip_captions.clip_id",)),
        Column("written_at", TIME, "when"),
    ),
)
