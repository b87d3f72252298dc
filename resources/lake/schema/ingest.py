"""Tables of what comes in: sources and the feeds that find them, downloads, annotations, stored videos, and what
is never ingested again."""

from __future__ import annotations

import pyarrow as pa

from resources.lake.schema.table import BATCH, FILE, MADE_BY, TEXT, TEXTS, TIME, Column, Table, key, reference

SOURCES = Table(
    "sources",
    "a place from which a video can be taken",
    key="source_id",
    partition="ingest_batch",
    columns=(
        key("source_id", "hash of the canonical URI"),
        Column("uri", TEXT, "canonical URI: file:///… for local files, https://… for what is downloaded"),
        Column("kind", TEXT, "how it is read: file (where it lies) or web (downloaded)"),
        Column(
            "site",
            TEXT,
            "host of a web source, without www.: the rate limit of requests is kept for each; null for files",
        ),
        Column("site_key", TEXT, "the site's own id of the video, where known; null for files"),
        Column("title", TEXT, "as stated by the feed or list that named it; null where it states none"),
        Column("channel", TEXT, "the channel's name, likewise"),
        Column("channel_id", TEXT, "the site's own id of the channel, likewise"),
        Column(
            "found_by",
            TEXT,
            "the feed that found it (feeds), or the list that named it; null: the user named it",
            derived_from=("feeds.feed_id",),
        ),
        Column("query_words", TEXT, "search words of the feed that found it"),
        Column("first_seen_at", TIME, "when it was first registered"),
        Column("size_bytes", pa.int64(), "size when last seen"),
        Column("modified_ns", pa.int64(), "modification time when last seen, nanoseconds since 1970"),
        Column(
            "estimated_seconds",
            pa.float64(),
            "duration by the file's header, 0 if unreadable; of web sources as listed, or a guess; sizes batches",
        ),
        Column("subtitles", TEXTS, "URIs of the subtitle files beside it, or of their copies in the media store"),
        Column("subtitles_seen", TEXT, "hash of their URIs, sizes and modification times; null where there are none"),
        BATCH,
        Column("provenance", TEXT, "hash of URI, size and modification time; of a web source of its URI"),
        Column("run_id", TEXT, "Dagster run, or command, that registered it"),
        Column("written_at", TIME, "when it was registered or last seen changed"),
    ),
)

FEEDS = Table(
    "feeds",
    "where sources are found: a search, a channel, a playlist, a list",
    key="feed_id",
    partition="plan",
    pinned=False,
    columns=(
        key("feed_id", "hash of the address"),
        Column("address", TEXT, "as yt-dlp takes it: ytsearch:words, or the URL of a channel, playlist or page"),
        Column("kind", TEXT, "search, or page for everything with a URL"),
        Column("plan", TEXT, "the query plan that it belongs to; feeds where it was added by itself"),
        Column("number", pa.int64(), "its place in the plan: the lower come first"),
        Column("words", TEXT, "of a search: what is searched for, in its language"),
        Column("phrase", TEXT, "of a search: the phrase of the plan that the words were made of"),
        Column("category", TEXT, "of a search: the category that was put to the phrase; null for none"),
        Column("language", TEXT, "of a search: ISO 639-1 code of the words"),
        Column("max_per_poll", pa.int32(), "sources taken from one poll"),
        Column("every_hours", pa.float64(), "hours between polls; null: it is polled once"),
        Column("refused", TEXT, "why it is never polled; null where it is"),
        Column("added_at", TIME, "when it was added"),
    ),
)

FEED_POLLS = Table(
    "feed_polls",
    "a poll of a feed: when, and what it listed",
    key="poll_id",
    unit="poll_id",
    partition="plan",
    append_only=True,
    pinned=False,
    columns=(
        key("poll_id", "feed_id and the number of the poll, joined by /"),
        reference("feed_id", "feeds.feed_id"),
        Column("plan", TEXT, "the query plan of the feed", derived_from=("feeds.plan",)),
        Column("number", pa.int32(), "of the poll among those of this feed, from 1"),
        Column("polled_at", TIME, "when"),
        Column("entries", pa.int32(), "entries that the feed listed, up to the feed's max_per_poll"),
        Column("new", pa.int32(), "of these, sources that were not known"),
        Column("left_out", pa.int32(), "of these, entries that were not registered: excluded, opted out, forgotten"),
        *MADE_BY,
    ),
)

SOURCE_CHECKS = Table(
    "source_checks",
    "a check of whether a web source is still available",
    key="check_id",
    pinned=False,
    columns=(
        key("check_id", "source_id and time, joined by /"),
        reference("source_id", "sources.source_id"),
        Column("checked_at", TIME, "when"),
        Column("is_available", pa.bool_(), "whether it could be reached; null where that is unknown (no network)"),
        Column("error_class", TEXT, "why not: a class of internvid/web/errors.py"),
        Column("message", TEXT, "the original error text"),
        Column("licence", TEXT, "as the site states it then"),
        Column("run_id", TEXT, "Dagster run, or command"),
    ),
)

DOWNLOADS = Table(
    "downloads",
    "a video that was fetched from the web, with what its site says of it",
    key="source_id",
    unit="source_id",
    partition="ingest_batch",
    columns=(
        key("source_id", "sources", derived_from=("sources.source_id",)),
        Column("url", TEXT, "URL that was fetched", derived_from=("sources.uri",)),
        Column("page_url", TEXT, "where a person would watch it"),
        Column("extractor", TEXT, "the part of yt-dlp that knows the site: youtube, vimeo, generic, …"),
        Column("site_key", TEXT, "the site's own id of the video"),
        Column("path", TEXT, "where the bytes are: in the media store"),
        Column("sha256", TEXT, "of the whole file"),
        Column("size_bytes", pa.int64(), "size of the file"),
        Column("subtitles", TEXTS, "paths of its subtitle files in the media store"),
        Column("title", TEXT, "as the site has it"),
        Column("description", TEXT, "as the site has it"),
        Column("tags", TEXTS, "as the site has them"),
        Column("categories", TEXTS, "as the site has them"),
        Column("language", TEXT, "as the site states it"),
        Column("sound_language", TEXT, "language of the sound that was fetched, as the site states it"),
        Column("channel", TEXT, "name of the channel or uploader"),
        Column("channel_id", TEXT, "the site's own id of it"),
        Column("channel_url", TEXT, "where it is"),
        Column("uploaded_at", TIME, "when it was uploaded or published; to the day where the site says no more"),
        Column("licence", TEXT, "as the site states it; null where it states none"),
        Column("age_limit", pa.int32(), "years, as the site states it"),
        Column("views", pa.int64(), "when it was fetched"),
        Column("likes", pa.int64(), "when it was fetched"),
        Column("duration_seconds", pa.float64(), "as the site states it, else by the file's header"),
        Column("format", TEXT, "which of the formats that the site offers, as yt-dlp names it"),
        Column(
            "below_available",
            pa.bool_(),
            "whether a larger picture should be there, up to the size that is wanted: it is fetched again later",
        ),
        Column("query_words", TEXT, "search words of the feed that found it", derived_from=("sources.query_words",)),
        Column("downloader", TEXT, "yt-dlp and its version"),
        Column(
            "warnings",
            TEXTS,
            "problems beside the video: subtitles that could not be fetched, and yt-dlp's own warnings",
        ),
        Column("fetched_at", TIME, "when the download was complete"),
        BATCH,
        *MADE_BY,
    ),
)

ANNOTATIONS = Table(
    "annotations",
    "a span of a video with a caption, from a dataset that others released",
    key="annotation_id",
    partition="ingest_batch",
    depends_on="digest",
    columns=(
        key("annotation_id", "dataset and a hash of source, span and caption, joined by /"),
        Column("dataset", TEXT, "name under which it was imported"),
        reference("source_id", "sources.source_id"),
        Column("start_seconds", pa.float64(), "from the video's first frame"),
        Column("end_seconds", pa.float64(), "from the video's first frame; null: to the video's end"),
        Column("caption", TEXT, "as released; null where there is none"),
        Column("scores", TEXT, "JSON: the scores that were released with it, by name; null where there are none"),
        Column("ingest_batch", TEXT, "the Dagster partition of its source, YYYY-MM-DD-NNNN"),
        Column("digest", TEXT, "hash of span and caption"),
        Column("run_id", TEXT, "the command that imported it"),
        Column("written_at", TIME, "when it was imported"),
    ),
)

RAW_VIDEOS = Table(
    "raw_videos",
    "a stored video file, known by its content",
    key="video_id",
    unit="source_id",
    partition="ingest_batch",
    key_begins_with_video=True,
    columns=(
        key("video_id", "first 16 hex digits of sha256", derived_from=("raw_videos.sha256",)),
        Column("source_id", TEXT, "the source it was taken from (sources)", derived_from=("sources.source_id",)),
        Column("source", TEXT, "URI of that source", derived_from=("sources.uri",)),
        Column(
            "path",
            TEXT,
            "where the bytes are now: the media store, or the source itself if kept by reference",
            derived_from=("sources.uri", "downloads.path"),
        ),
        Column("sha256", TEXT, "of the whole file", derived_from=FILE),
        Column(
            "packets_digest", TEXT, "hash of its pictures as encoded, the same in every container", derived_from=FILE
        ),
        Column("size_bytes", pa.int64(), "size of the file", derived_from=FILE),
        Column("container", TEXT, "FFmpeg's name of the container format", derived_from=FILE),
        Column("video_codec", TEXT, "codec of the video stream", derived_from=FILE),
        Column("pixel_format", TEXT, "FFmpeg's name, yuv420p and the like", derived_from=FILE),
        Column("width", pa.int32(), "coded width, pixels", derived_from=FILE),
        Column("height", pa.int32(), "coded height, pixels", derived_from=FILE),
        Column(
            "display_width", pa.int32(), "width as shown: after pixel aspect and rotation, pixels", derived_from=FILE
        ),
        Column("display_height", pa.int32(), "height as shown, pixels", derived_from=FILE),
        Column(
            "rotation_degrees", pa.int32(), "clockwise rotation to show it upright: 0, 90, 180, 270", derived_from=FILE
        ),
        Column("pixel_aspect", pa.float64(), "width of a pixel over its height", derived_from=FILE),
        Column("bit_depth", pa.int32(), "bits per sample of its pictures", derived_from=FILE),
        Column(
            "color_transfer",
            TEXT,
            "FFmpeg's name of the curve between light and code: bt709, smpte2084 (PQ), arib-std-b67 (HLG); "
            "null where the video states none",
            derived_from=FILE,
        ),
        Column(
            "is_hdr", pa.bool_(), "whether that curve is PQ or HLG: its frames are mapped to SDR", derived_from=FILE
        ),
        Column(
            "is_interlaced",
            pa.bool_(),
            "whether its first picture is two fields; of clips the flag interlaced tells",
            derived_from=FILE,
        ),
        Column(
            "has_alpha", pa.bool_(), "whether its pictures are transparent: frames show them on grey", derived_from=FILE
        ),
        Column(
            "declared_seconds",
            pa.float64(),
            "how long it lasts by the header; null where the container states nothing",
            derived_from=FILE,
        ),
        Column(
            "duration_seconds",
            pa.float64(),
            "how long the pictures last that are in the file, by timestamps; clips tell how far it was decoded",
            derived_from=FILE,
        ),
        Column(
            "short_of_header",
            pa.bool_(),
            "whether the file ends before its header says: under 95 % of it, and more than half a second",
            derived_from=FILE,
        ),
        Column("frame_count", pa.int64(), "number of its pictures, as counted", derived_from=FILE),
        Column(
            "fps",
            pa.float64(),
            "average frames per second by the timestamps, for information; null for one picture",
            derived_from=FILE,
        ),
        Column("time_base_numerator", pa.int32(), "seconds per timestamp tick, numerator", derived_from=FILE),
        Column("time_base_denominator", pa.int32(), "seconds per timestamp tick, denominator", derived_from=FILE),
        Column("audio_codec", TEXT, "codec of the sound that is listened to; null without sound", derived_from=FILE),
        Column("audio_channels", pa.int32(), "its channels", derived_from=FILE),
        Column("audio_sample_rate", pa.int32(), "its samples per second", derived_from=FILE),
        BATCH,
        *MADE_BY,
    ),
)

TOMBSTONES = Table(
    "tombstones",
    "something that was forgotten and is never ingested again",
    key="tombstone_id",
    pinned=False,
    columns=(
        key("tombstone_id", "kind and value, joined by :"),
        Column("kind", TEXT, "url, site_key, channel or sha256"),
        Column("value", TEXT, "the URL, id, channel or hash that is refused"),
        Column("reason", TEXT, "as the user gave it; null without"),
        Column("state", TEXT, "begun, or done: a killed run is resumed"),
        Column("asked_at", TIME, "when it was asked for"),
        Column(
            "since", TIME, "a time before which the lake had nothing of it, as known then; null: it had nothing at all"
        ),
        Column("run_id", TEXT, "the command that forgot it"),
    ),
)
