"""Tables of what is seen in a video: its clips, their frames, and fingerprints by which copies are found."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import BATCH, FILE, MADE_BY, TEXT, TEXTS, Column, Table, key, reference

# Of a video, the spans between its cuts are one unit of work, those that others annotated another.
UNIT_OF_VIDEO = "case when annotation_id is null then video_id else video_id || '/imported' end"

CLIPS = Table(
    "clips",
    "a span of a video: between two cuts, or as an imported annotation has it",
    key="clip_id",
    unit=UNIT_OF_VIDEO,
    partition="ingest_batch",
    parent=("video_id", "raw_videos"),
    key_begins_with_video=True,
    columns=(
        key(
            "clip_id",
            "video_id, first and end timestamp tick, joined by _; of an imported span also the dataset and a hash",
        ),
        reference("video_id", "raw_videos.video_id"),
        Column("clip_index", pa.int32(), "position within the video, from 0; imported spans are counted by themselves"),
        Column(
            "start_seconds",
            pa.float64(),
            "of its first frame, from the video's first frame",
            derived_from=("raw_videos.path", "annotations.start_seconds"),
        ),
        Column(
            "end_seconds",
            pa.float64(),
            "end of its last frame, from the video's first frame",
            derived_from=("raw_videos.path", "annotations.end_seconds"),
        ),
        Column("start_pts", pa.int64(), "presentation timestamp of its first frame, ticks", derived_from=FILE),
        Column("end_pts", pa.int64(), "presentation timestamp of the frame after its last, ticks", derived_from=FILE),
        Column(
            "time_base_numerator",
            pa.int32(),
            "seconds per tick, numerator",
            derived_from=("raw_videos.time_base_numerator",),
        ),
        Column(
            "time_base_denominator",
            pa.int32(),
            "seconds per tick, denominator",
            derived_from=("raw_videos.time_base_denominator",),
        ),
        Column("start_frame", pa.int64(), "index of its first frame in presentation order", derived_from=FILE),
        Column("end_frame", pa.int64(), "index of the frame after its last", derived_from=FILE),
        Column("boundary", TEXT, "why it begins: start, cut, fade, dissolve, split, imported", derived_from=FILE),
        Column(
            "cut_score",
            pa.float32(),
            "the detector's score at its beginning; 0 for start, split and imported",
            derived_from=FILE,
        ),
        Column(
            "transition_start_seconds",
            pa.float64(),
            "start of the fade or dissolve before it, from the video's first frame; null after anything else",
            derived_from=FILE,
        ),
        Column(
            "transition_end_seconds",
            pa.float64(),
            "end of the fade or dissolve before it, and its own start; the frames between belong to no clip",
            derived_from=FILE,
        ),
        Column(
            "motion", pa.float32(), "mean change of luma per second, 1 = black to white everywhere", derived_from=FILE
        ),
        Column(
            "stillness",
            pa.float32(),
            "share of its time in which hardly anything changes from frame to frame",
            derived_from=FILE,
        ),
        Column("blackness", pa.float32(), "share of its frames that are black", derived_from=FILE),
        Column("pan_x", pa.float32(), "camera turn, frame widths per second; positive turns right", derived_from=FILE),
        Column("pan_y", pa.float32(), "camera tilt, frame heights per second; positive turns down", derived_from=FILE),
        Column("zoom", pa.float32(), "camera scale per second as log2; positive zooms in", derived_from=FILE),
        Column(
            "moving_share",
            pa.float32(),
            "share of the picture that moves otherwise than the camera explains",
            derived_from=FILE,
        ),
        Column(
            "mover_x",
            pa.float32(),
            "mean motion of those parts, frame widths per second; positive goes right",
            derived_from=FILE,
        ),
        Column("mover_y", pa.float32(), "the same in frame heights per second; positive goes down", derived_from=FILE),
        Column(
            "flags",
            TEXTS,
            "properties by which a subset may exclude it: too_short, too_long, still, wild, black, interlaced, "
            "short_of_header",
        ),
        Column(
            "decode_errors",
            pa.int32(),
            "packets of the video that could not be decoded and were skipped",
            derived_from=FILE,
        ),
        Column(
            "annotation_id",
            TEXT,
            "the imported span that it is (annotations); null for a clip that was cut here",
            derived_from=("annotations.annotation_id",),
        ),
        BATCH,
        *MADE_BY,
    ),
)

FRAMES = Table(
    "frames",
    "one sampled frame of a clip",
    key="frame_id",
    unit=UNIT_OF_VIDEO,
    partition="ingest_batch",
    parent=("clip_id", "clips"),
    key_begins_with_video=True,
    columns=(
        key("frame_id", "clip_id and timestamp tick, joined by _"),
        reference("clip_id", "clips.clip_id"),
        reference("video_id", "raw_videos.video_id"),
        Column("seconds", pa.float64(), "when it is shown, from the video's first frame", derived_from=FILE),
        Column("pts", pa.int64(), "presentation timestamp, ticks of the clip's time base", derived_from=FILE),
        Column("is_middle", pa.bool_(), "the clip's middle frame: what the coarse caption is made from"),
        Column("is_fine", pa.bool_(), "one of the frames sampled each second: what fine captions are made from"),
        Column(
            "width",
            pa.int32(),
            "of the JPEG, pixels, upright and with square pixels",
            derived_from=("raw_videos.display_width",),
        ),
        Column("height", pa.int32(), "of the JPEG, pixels", derived_from=("raw_videos.display_height",)),
        Column("jpeg", pa.binary(), "the picture", derived_from=FILE),
        Column(
            "annotation_id",
            TEXT,
            "of an imported clip its span (annotations); null for a clip that was cut here",
            derived_from=("clips.annotation_id",),
        ),
        BATCH,
        *MADE_BY,
    ),
)

FINGERPRINTS = Table(
    "fingerprints",
    "hashes of a video's frames, a few bytes each: copies of a video have nearly the same",
    key="video_id",
    unit="video_id",
    partition="ingest_batch",
    parent=("video_id", "raw_videos"),
    key_begins_with_video=True,
    columns=(
        key("video_id", "raw_videos", derived_from=("raw_videos.video_id",)),
        Column("frames", pa.int32(), "how many frames are hashed", derived_from=("frames.frame_id",)),
        Column("seconds", pa.binary(), "when each is shown, float32, little-endian", derived_from=("frames.seconds",)),
        Column(
            "hashes", pa.binary(), "of each frame: see internvid/video/fingerprint.py", derived_from=("frames.jpeg",)
        ),
        BATCH,
        *MADE_BY,
    ),
)
