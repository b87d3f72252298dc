"""Every table of the lake, in one place: what one row is, and each column with its meaning and unit.

Only declarations belong here. Reading and writing is `resources.lake`; what fills a table is the module of that
name in `assets/`. `docs/tables.md` is rendered from this module (`internvid docs`).

Types are those that DuckDB filters through Lance: signed integers, float32/64, bool, string, timestamp, list<string>,
binary; and fixed-size float32 vectors, which can be read but not filtered. An unsigned integer, a large_string or a
struct makes a WHERE clause fail; float16 makes the table unreadable.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

TEXT = pa.string()
TEXTS = pa.list_(pa.string())
TIME = pa.timestamp("us", tz="UTC")

# One size for the vectors of all models, so that another model does not need another table: smaller ones fill the rest
# with zeros, which changes neither cosine nor distance. ViCLIP-L/14 has 768 dimensions, B/16 512.
VECTOR_SIZE = 768
VECTOR = pa.list_(pa.float32(), VECTOR_SIZE)


@dataclass(frozen=True)
class Column:
    """name, Arrow type, and what it means in one line, with its unit."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """A Lance table. `key` identifies a row; `unit` is SQL for the input that a row was made from, mostly a column;
    `partition` is the one that holds the Dagster partition. `keeps_history`: rows that a newer row of the same unit
    supersedes stay. `rests_on`: SQL for what tells a row from another state of it, where no step makes it.
    """

    name: str
    row_is: str
    key: str
    columns: tuple[Column, ...]
    unit: str | None = None
    partition: str | None = None
    keeps_history: bool = False
    rests_on: str = "provenance"

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, with Lance's mark on the key: without it two racing merges insert the same row twice."""
        return pa.schema(
            pa.field(
                column.name,
                column.type,
                nullable=column.nullable,
                metadata={"lance-schema:unenforced-primary-key": "true"} if column.name == self.key else None,
            )
            for column in self.columns
        )

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def content(self) -> pa.Schema:
        """What a step computes: all but the columns that say what made the row."""
        added_later = {self.partition, *(column.name for column in MADE_BY)} - {self.key}
        return pa.schema([field for field in self.arrow if field.name not in added_later])


def _key(name: str, meaning: str) -> Column:
    return Column(name, TEXT, meaning, nullable=False)


BATCH = Column("ingest_batch", TEXT, "the Dagster partition, YYYY-MM-DD-NNNN")

# The last columns of every derived table: the heart of the lake, see resources.refresh.
MADE_BY = (
    Column("digest", TEXT, "hash of what the row says; what hangs on the row is made anew only when this changes"),
    Column("provenance", TEXT, "hash of what decided this row: its inputs, the step's version and settings"),
    Column("unit_rows", pa.int32(), "rows of this table made from the same input; fewer present: unfinished"),
    Column("version", TEXT, "the step's version and settings in readable form"),
    Column("run_id", TEXT, "Dagster run that wrote the row"),
    Column("written_at", TIME, "when the row was written"),
)

SOURCES = Table(
    "sources",
    "a place where a video can be had",
    key="source_id",
    partition="ingest_batch",
    columns=(
        _key("source_id", "hash of the canonical URI"),
        Column("uri", TEXT, "canonical URI: file:///… for local files, https://… for what is downloaded"),
        Column("kind", TEXT, "how it is had: file (read where it lies) or web (downloaded)"),
        Column("site", TEXT, "host of a web source, without www.: requests are paced by it; null for files"),
        Column("site_key", TEXT, "the site's own id of the video, where known; null for files"),
        Column("title", TEXT, "as the feed or list that named it says; null where it says nothing"),
        Column("channel", TEXT, "the channel's name, likewise"),
        Column("channel_id", TEXT, "the site's own id of the channel, likewise"),
        Column("found_by", TEXT, "the feed that found it (feeds), or the list that named it; null: the user named it"),
        Column("query_words", TEXT, "what was searched for when it was found"),
        Column("first_seen_at", TIME, "when it was first registered"),
        Column("size_bytes", pa.int64(), "size when last seen"),
        Column("modified_ns", pa.int64(), "modification time when last seen, nanoseconds since 1970"),
        Column(
            "estimated_seconds",
            pa.float64(),
            "duration by the file's header, 0 if unreadable; of web sources as listed, or a guess; sizes batches",
        ),
        Column("subtitles", TEXTS, "URIs of the subtitle files beside it"),
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
    columns=(
        _key("feed_id", "hash of the address"),
        Column("address", TEXT, "as yt-dlp takes it: ytsearch:words, or the URL of a channel, playlist or page"),
        Column("kind", TEXT, "search, or page for everything with a URL"),
        Column("plan", TEXT, "the query plan that it belongs to; feeds where it was added by itself"),
        Column("number", pa.int64(), "its place in the plan: the lower come first"),
        Column("words", TEXT, "of a search: what is searched for, in its language"),
        Column("phrase", TEXT, "of a search: the phrase of the plan that the words were made of"),
        Column("category", TEXT, "of a search: the category that was put to the phrase; null for none"),
        Column("language", TEXT, "of a search: ISO 639-1 code of the words"),
        Column("most_per_look", pa.int32(), "sources taken from one look"),
        Column("every_hours", pa.float64(), "how often it is looked at; null: once"),
        Column("refused", TEXT, "why it is never looked at; null where it is"),
        Column("added_at", TIME, "when it was added"),
    ),
)

FEED_LOOKS = Table(
    "feed_looks",
    "a look at a feed, and what was found",
    key="look_id",
    unit="look_id",
    partition="plan",
    keeps_history=True,
    columns=(
        _key("look_id", "feed_id and the number of the look, joined by /"),
        Column("feed_id", TEXT, "feeds"),
        Column("plan", TEXT, "the query plan of the feed"),
        Column("number", pa.int32(), "of the look at this feed, from 1"),
        Column("looked_at", TIME, "when"),
        Column("found", pa.int32(), "entries that the feed listed, up to the feed's most_per_look"),
        Column("new", pa.int32(), "of these, sources that were not known"),
        Column("left_out", pa.int32(), "of these, entries that were not registered: excluded, opted out, forgotten"),
        *MADE_BY,
    ),
)

SOURCE_CHECKS = Table(
    "source_checks",
    "a look at whether a web source can still be had",
    key="check_id",
    columns=(
        _key("check_id", "source_id and time, joined by /"),
        Column("source_id", TEXT, "sources"),
        Column("checked_at", TIME, "when"),
        Column("is_available", pa.bool_(), "whether it could be had; null where that could not be told (no network)"),
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
        _key("source_id", "sources"),
        Column("url", TEXT, "what was asked for"),
        Column("page_url", TEXT, "where a person would look at it"),
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
        Column("channel", TEXT, "name of the channel or uploader"),
        Column("channel_id", TEXT, "the site's own id of it"),
        Column("channel_url", TEXT, "where it is"),
        Column("uploaded_at", TIME, "when it was uploaded or published; to the day where the site says no more"),
        Column("licence", TEXT, "as the site states it; null where it states none"),
        Column("age_limit", pa.int32(), "years, as the site states it"),
        Column("views", pa.int64(), "when it was fetched"),
        Column("likes", pa.int64(), "when it was fetched"),
        Column("duration_seconds", pa.float64(), "as the site states it, else by the file's header"),
        Column("format", TEXT, "what was taken of that which the site offers, as yt-dlp names it"),
        Column("query_words", TEXT, "what was searched for when it was found"),
        Column("downloader", TEXT, "yt-dlp and its version"),
        Column("warnings", TEXTS, "what went amiss beside the video: subtitles not to be had, and yt-dlp's own"),
        Column("fetched_at", TIME, "when it was there"),
        BATCH,
        *MADE_BY,
    ),
)

ANNOTATIONS = Table(
    "annotations",
    "a span of a video with a caption, from a dataset that others released",
    key="annotation_id",
    partition="ingest_batch",
    rests_on="digest",
    columns=(
        _key("annotation_id", "dataset and a hash of source, span and caption, joined by /"),
        Column("dataset", TEXT, "name under which it was imported"),
        Column("source_id", TEXT, "sources"),
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

FINGERPRINTS = Table(
    "fingerprints",
    "what a video's pictures look like, in a few bytes a frame: copies have nearly the same",
    key="video_id",
    unit="video_id",
    partition="ingest_batch",
    columns=(
        _key("video_id", "raw_videos"),
        Column("frames", pa.int32(), "how many frames are hashed"),
        Column("seconds", pa.binary(), "when each is shown, float32, little-endian"),
        Column("hashes", pa.binary(), "of each frame: see internvid/video/fingerprint.py"),
        BATCH,
        *MADE_BY,
    ),
)

DUPLICATES = Table(
    "duplicates",
    "two videos of which one is a copy of the other, or holds part of it; nothing is deleted for it",
    key="pair_id",
    rests_on="kind || kept",
    columns=(
        _key("pair_id", "both video_ids, the lower first, joined by /"),
        Column("video_id", TEXT, "raw_videos: the lower of the two"),
        Column("other_video_id", TEXT, "raw_videos: the other"),
        Column("kind", TEXT, "packets (the same pictures in another container) or perceptual (re-encoded, cropped, …)"),
        Column("similarity", pa.float64(), "share of the shorter one's frames that the other has as well"),
        Column("offset_seconds", pa.float64(), "how much later the other shows the same"),
        Column("speed", pa.float64(), "how much faster the other goes"),
        Column("kept", TEXT, "which of them a subset without duplicates keeps"),
        Column("why_kept", TEXT, "by which rule"),
        Column("evidence", TEXT, "JSON: frames compared, frames alike, mean distance of their hashes"),
        Column("run_id", TEXT, "Dagster run"),
        Column("written_at", TIME, "when it was found"),
    ),
)

COMPARISONS = Table(
    "comparisons",
    "a video that was compared with all others, to find copies",
    key="video_id",
    columns=(
        _key("video_id", "raw_videos"),
        Column("pairs", pa.int32(), "copies that were found of it"),
        Column("provenance", TEXT, "hash of its fingerprint and of how fingerprints are compared"),
        Column("run_id", TEXT, "Dagster run"),
        Column("written_at", TIME, "when it was compared"),
    ),
)

EXPORTS = Table(
    "exports",
    "a file that was written out of the lake, for others to read",
    key="export_id",
    columns=(
        _key("export_id", "path and time, joined by @"),
        Column("path", TEXT, "where it was written"),
        Column("subset", TEXT, "the subset that it holds; null: every captioned clip"),
        Column("snapshot", TEXT, "the snapshot that it was written from; null: the tables as they were then"),
        Column("clips", pa.int64(), "lines in it"),
        Column("written_at", TIME, "when"),
    ),
)

TOMBSTONES = Table(
    "tombstones",
    "what was forgotten, and is never taken in again",
    key="tombstone_id",
    columns=(
        _key("tombstone_id", "kind and value, joined by :"),
        Column("kind", TEXT, "url, site_key, channel or sha256"),
        Column("value", TEXT, "what is refused"),
        Column("reason", TEXT, "as the user gave it; null without"),
        Column("state", TEXT, "begun, or done: a run that was killed half-way goes on"),
        Column("asked_at", TIME, "when it was asked for"),
        Column("run_id", TEXT, "the command that forgot it"),
    ),
)

RAW_VIDEOS = Table(
    "raw_videos",
    "a stored video file, known by its content",
    key="video_id",
    unit="source_id",
    partition="ingest_batch",
    columns=(
        _key("video_id", "first 16 hex digits of sha256"),
        Column("source_id", TEXT, "the source it was taken from (sources)"),
        Column("source", TEXT, "URI of that source"),
        Column("path", TEXT, "where the bytes are now: the media store, or the source itself if kept by reference"),
        Column("sha256", TEXT, "of the whole file"),
        Column("packets_digest", TEXT, "hash of its pictures as encoded, the same in every container"),
        Column("size_bytes", pa.int64(), "size of the file"),
        Column("container", TEXT, "FFmpeg's name of the container format"),
        Column("video_codec", TEXT, "codec of the video stream"),
        Column("pixel_format", TEXT, "FFmpeg's name, yuv420p and the like"),
        Column("width", pa.int32(), "coded width, pixels"),
        Column("height", pa.int32(), "coded height, pixels"),
        Column("display_width", pa.int32(), "width as shown: after pixel aspect and rotation, pixels"),
        Column("display_height", pa.int32(), "height as shown, pixels"),
        Column("rotation_degrees", pa.int32(), "clockwise rotation to show it upright: 0, 90, 180, 270"),
        Column("pixel_aspect", pa.float64(), "width of a pixel over its height"),
        Column("fps", pa.float64(), "average frames per second, for information: time is never computed from it"),
        Column("duration_seconds", pa.float64(), "by the header; null where the container states none"),
        Column("frame_count", pa.int64(), "by the header; null where the container states none"),
        Column("time_base_numerator", pa.int32(), "seconds per timestamp tick, numerator"),
        Column("time_base_denominator", pa.int32(), "seconds per timestamp tick, denominator"),
        Column("audio_codec", TEXT, "codec of the first audio stream; null without sound"),
        Column("audio_channels", pa.int32(), "channels of the first audio stream"),
        Column("audio_sample_rate", pa.int32(), "hertz"),
        BATCH,
        *MADE_BY,
    ),
)

# Of a video, the spans between its cuts are one unit of work, those that others annotated another.
UNIT_OF_VIDEO = "case when annotation_id is null then video_id else video_id || '/imported' end"

CLIPS = Table(
    "clips",
    "a span of a video: between two cuts, or as an imported annotation has it",
    key="clip_id",
    unit=UNIT_OF_VIDEO,
    partition="ingest_batch",
    columns=(
        _key(
            "clip_id",
            "video_id, first and end timestamp tick, joined by _; of an imported span also the dataset and a hash",
        ),
        Column("video_id", TEXT, "raw_videos"),
        Column("clip_index", pa.int32(), "position within the video, from 0; imported spans are counted by themselves"),
        Column("start_seconds", pa.float64(), "of its first frame, from the video's first frame"),
        Column("end_seconds", pa.float64(), "end of its last frame, from the video's first frame"),
        Column("start_pts", pa.int64(), "presentation timestamp of its first frame, ticks"),
        Column("end_pts", pa.int64(), "presentation timestamp at which the next clip begins, ticks"),
        Column("time_base_numerator", pa.int32(), "seconds per tick, numerator"),
        Column("time_base_denominator", pa.int32(), "seconds per tick, denominator"),
        Column("start_frame", pa.int64(), "index of its first frame in presentation order"),
        Column("end_frame", pa.int64(), "index of the frame after its last"),
        Column("boundary", TEXT, "why it begins: start, cut, fade, dissolve, split, imported"),
        Column("cut_score", pa.float32(), "the detector's score at its beginning; 0 for start, split and imported"),
        Column("motion", pa.float32(), "mean change of luma per second, 1 = black to white everywhere"),
        Column("stillness", pa.float32(), "share of its time in which hardly anything changes from frame to frame"),
        Column("blackness", pa.float32(), "share of its frames that are black"),
        Column("pan_x", pa.float32(), "camera turn, frame widths per second; positive turns right"),
        Column("pan_y", pa.float32(), "camera tilt, frame heights per second; positive turns down"),
        Column("zoom", pa.float32(), "camera scale per second as log2; positive zooms in"),
        Column("moving_share", pa.float32(), "share of the picture that moves otherwise than the camera explains"),
        Column("mover_x", pa.float32(), "mean motion of those parts, frame widths per second; positive goes right"),
        Column("mover_y", pa.float32(), "the same in frame heights per second; positive goes down"),
        Column("flags", TEXTS, "what a subset may want to leave out: too_short, too_long, still, wild, black"),
        Column("decode_errors", pa.int32(), "packets of the video that could not be decoded and were passed over"),
        Column("annotation_id", TEXT, "the imported span that it is (annotations); null for a clip that was cut here"),
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
    columns=(
        _key("frame_id", "clip_id and timestamp tick, joined by _"),
        Column("clip_id", TEXT, "clips"),
        Column("video_id", TEXT, "raw_videos"),
        Column("seconds", pa.float64(), "when it is shown, from the video's first frame"),
        Column("pts", pa.int64(), "presentation timestamp, ticks of the clip's time base"),
        Column("is_middle", pa.bool_(), "the clip's middle frame: what the coarse caption is made from"),
        Column("is_fine", pa.bool_(), "one of the frames sampled each second: what fine captions are made from"),
        Column("width", pa.int32(), "of the JPEG, pixels, upright and with square pixels"),
        Column("height", pa.int32(), "of the JPEG, pixels"),
        Column("jpeg", pa.binary(), "the picture"),
        Column("annotation_id", TEXT, "of an imported clip its span (annotations); null for a clip that was cut here"),
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
    columns=(
        _key("frame_caption_id", "frame_id and scale, or clip_id and clip, joined by /"),
        Column("frame_id", TEXT, "frames; null where the caption is of all frames together"),
        Column("clip_id", TEXT, "clips"),
        Column("video_id", TEXT, "raw_videos"),
        Column(
            "scale", TEXT, "coarse (the middle frame), fine (one a second) or clip (those of every second, together)"
        ),
        Column("seconds", pa.float64(), "when the frame is shown, or the clip begins, from the video's first frame"),
        Column("caption", TEXT, "what the model said"),
        Column("model", TEXT, "the model that said it"),
        Column(
            "revision", TEXT, "which state of that model: a commit, or a hash of its files; null where there is but one"
        ),
        Column("status", TEXT, "success, or truncated where the model was stopped at its limit of new tokens"),
        Column("prompt_tokens", pa.int32(), "tokens the model read, where it counts them"),
        Column("output_tokens", pa.int32(), "tokens it wrote, where it counts them"),
        Column("evidence", TEXT, "JSON: what the caption rests on, where the model can tell"),
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
    columns=(
        _key("clip_id", "clips"),
        Column("video_id", TEXT, "raw_videos"),
        Column("caption", TEXT, "what the model said"),
        Column("model", TEXT, "the model that summarised"),
        Column(
            "revision", TEXT, "which state of that model: a commit, or a hash of its files; null where there is but one"
        ),
        Column("status", TEXT, "success, or truncated where the model was stopped at its limit of new tokens"),
        Column("prompt_tokens", pa.int32(), "tokens the model read, where it counts them"),
        Column("output_tokens", pa.int32(), "tokens it wrote, where it counts them"),
        Column("evidence", TEXT, "JSON: what each sentence rests on, where the model can tell"),
        Column("word_count", pa.int32(), "words of the caption"),
        Column("nouns", TEXTS, "distinct nouns, as lemmas, in order of appearance"),
        Column("verbs", TEXTS, "distinct verbs, as lemmas, in order of appearance"),
        BATCH,
        *MADE_BY,
    ),
)

CLIP_EMBEDDINGS = Table(
    "clip_embeddings",
    "a vector of a clip's frames, or of its caption, by the active checkpoint",
    key="embedding_id",
    unit="embedding_id",
    partition="ingest_batch",
    columns=(
        _key("embedding_id", "clip_id and kind, joined by /"),
        Column("clip_id", TEXT, "clips"),
        Column("video_id", TEXT, "raw_videos"),
        Column("kind", TEXT, "video (from the clip's frames) or caption"),
        Column("model", TEXT, "the checkpoint that made it"),
        Column("dimensions", pa.int32(), "of the model's vectors; the rest of `vector` is zero"),
        Column("vector", VECTOR, "of length 1, so that a dot product is the cosine"),
        BATCH,
        *MADE_BY,
    ),
)

CLIP_SCORES = Table(
    "clip_scores",
    "a score of a clip by one model; what to leave out for it is the choice of a subset",
    key="score_id",
    unit="score_id",
    partition="ingest_batch",
    columns=(
        _key("score_id", "clip_id and score, joined by /"),
        Column("clip_id", TEXT, "clips"),
        Column("video_id", TEXT, "raw_videos"),
        Column(
            "score", TEXT, "what is scored: aesthetics, video_text_similarity, … (assets/clip_scores.py lists them)"
        ),
        Column("value", pa.float64(), "the score; null where there is none"),
        Column("reason", TEXT, "why there is none"),
        Column("model", TEXT, "the model that scored"),
        Column(
            "revision", TEXT, "which state of that model: a commit, or a hash of its files; null where there is but one"
        ),
        BATCH,
        *MADE_BY,
    ),
)

SPEECH = Table(
    "speech",
    "a cue: what is said in a video between two times",
    key="cue_id",
    unit="video_id",
    partition="ingest_batch",
    columns=(
        _key("cue_id", "video_id and number of the cue, joined by /"),
        Column("video_id", TEXT, "raw_videos"),
        Column("start_seconds", pa.float64(), "from the video's first frame"),
        Column("end_seconds", pa.float64(), "from the video's first frame"),
        Column("text", TEXT, "as said or subtitled, without markup"),
        Column("language", TEXT, "ISO 639-1 code, or 639-3 where there is none; null where it could not be told"),
        Column("source", TEXT, "subtitles:uploaded, subtitles:automatic, subtitles:embedded, or speech recognition"),
        Column("origin", TEXT, "of subtitles the file's name or the number of the stream; null for speech recognition"),
        Column("model", TEXT, "the model that recognised it; null for subtitles"),
        Column(
            "revision", TEXT, "which state of that model: a commit, or a hash of its files; null where there is but one"
        ),
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
    columns=(
        _key("clip_id", "clips"),
        Column("video_id", TEXT, "raw_videos"),
        Column("text", TEXT, "of all cues within the clip, in order of time; of one over a cut the words on this side"),
        Column("language", TEXT, "as in speech"),
        Column("english", TEXT, "the text in English: itself, or by the translator; null where there is none"),
        Column("why_no_english", TEXT, "why there is none"),
        Column("source", TEXT, "where the text came from, as in speech"),
        Column("model", TEXT, "the model that recognised it; null for subtitles"),
        Column(
            "revision", TEXT, "which state of that model: a commit, or a hash of its files; null where there is but one"
        ),
        Column("translator", TEXT, "the model that translated; null where none did"),
        Column("translator_revision", TEXT, "which state of that model"),
        Column("cues", pa.int32(), "cues that it was put together from"),
        BATCH,
        *MADE_BY,
    ),
)

ACTIVE_CHECKPOINT = Table(
    "active_checkpoint",
    "the checkpoint whose vectors the lake holds: at most one row",
    key="role",
    columns=(
        _key("role", "aligner"),
        Column("checkpoint_id", TEXT, "its name, as in checkpoints, or of the folder that it was taken from"),
        Column("path", TEXT, "folder of its files"),
        Column("provenance", TEXT, "hash of its weights, configuration and vocabulary"),
        Column("written_at", TIME, "when it was activated"),
    ),
)

CORPUS_SNAPSHOT = Table(
    "corpus_snapshot",
    "the version of one table within a pinned state of the whole lake",
    key="snapshot_table",
    columns=(
        _key("snapshot_table", "snapshot and table_name, joined by /"),
        Column("snapshot", TEXT, "name of the snapshot, and of the tag that every table carries"),
        Column("table_name", TEXT, "which table"),
        Column("table_version", pa.int64(), "Lance version of that table"),
        Column("row_count", pa.int64(), "its rows at that version"),
        Column("digest", TEXT, "hash of its keys and provenances at that version"),
        Column("run_id", TEXT, "Dagster run that made it"),
        Column("written_at", TIME, "when it was made"),
    ),
)

SUBSETS = Table(
    "subsets",
    "a clip in a named subset, selected from a snapshot by sql/subsets/",
    key="subset_clip_id",
    unit="subset",
    partition="subset",
    columns=(
        _key("subset_clip_id", "subset and clip_id, joined by /"),
        Column("subset", TEXT, "name of the subset"),
        Column("clip_id", TEXT, "clips"),
        Column("video_id", TEXT, "raw_videos"),
        Column("split", TEXT, "train, validation or test: all clips of a video are in the same"),
        Column("weight", pa.float64(), "with which it was drawn"),
        Column("reason", TEXT, "why it is in"),
        Column("content", TEXT, "hash of the clip, its frames and its caption: what a model trained on it rests on"),
        *MADE_BY,
    ),
)

SUBSET_SNAPSHOTS = Table(
    "subset_snapshots",
    "a subset as it was last made: from what, with which parameters, how many clips",
    key="subset",
    unit="subset",
    partition="subset",
    columns=(
        _key("subset", "name of the subset"),
        Column("snapshot", TEXT, "the snapshot it was made from (corpus_snapshot)"),
        Column("parameters", TEXT, "JSON: every parameter of its statement, with its value"),
        Column("statement", TEXT, "the SQL that selected it"),
        Column("waterfall", TEXT, "JSON: each condition with the clips that it removed and that it left"),
        Column("clips", pa.int64(), "in the subset"),
        Column("train_clips", pa.int64(), "of them in the train split"),
        Column("validation_clips", pa.int64(), "in the validation split"),
        Column("test_clips", pa.int64(), "in the test split"),
        *MADE_BY,
    ),
)

CHECKPOINTS = Table(
    "checkpoints",
    "a trained ViCLIP",
    key="checkpoint_id",
    unit="model",
    partition="model",
    keeps_history=True,
    columns=(
        _key("checkpoint_id", "recipe, subset and the beginning of its provenance"),
        Column("model", TEXT, "the Dagster partition: recipe and subset, joined by |"),
        Column("recipe", TEXT, "internvid/viclip/recipes/"),
        Column("subset", TEXT, "what it was trained on (subsets)"),
        Column("snapshot", TEXT, "the snapshot that the subset was made from"),
        Column("path", TEXT, "folder of its files"),
        Column("weights_digest", TEXT, "hash of its weights, configuration and vocabulary"),
        Column("clips", pa.int64(), "it was trained on"),
        Column("steps", pa.int64(), "of the optimiser"),
        Column("samples", pa.int64(), "clips seen, each as often as it was"),
        Column("seconds", pa.float64(), "spent on training, over all tries"),
        Column("loss", pa.float64(), "mean over the last steps"),
        Column(
            "accuracy", pa.float64(), "share of the last batches' clips whose own caption came first, and inversely"
        ),
        *MADE_BY,
    ),
)

EVALUATIONS = Table(
    "evaluations",
    "a metric of a checkpoint on a benchmark",
    key="evaluation_id",
    unit="benchmark_of_model",
    partition="model",
    keeps_history=True,
    columns=(
        _key("evaluation_id", "checkpoint_id, benchmark and metric, joined by /"),
        Column("benchmark_of_model", TEXT, "model and benchmark, joined by /"),
        Column("model", TEXT, "the Dagster partition: recipe and subset, joined by |"),
        Column("checkpoint_id", TEXT, "checkpoints"),
        Column("benchmark", TEXT, "held_out (the snapshot's test videos), or a benchmark's name"),
        Column("metric", TEXT, "text_to_video_recall_at_1 and the like"),
        Column("value", pa.float64(), "of the metric, in its unit"),
        Column("unit", TEXT, "% or rank (from 1)"),
        Column("chance", pa.float64(), "what a guess by lot gives"),
        Column("items", pa.int64(), "clips or videos that it was measured over"),
        *MADE_BY,
    ),
)

ATTEMPTS = Table(
    "attempts",
    "an input that a stage did not turn into rows: it failed, or was skipped for a reason",
    key="attempt_id",
    partition="partition",
    columns=(
        _key("attempt_id", "stage and key, joined by /"),
        Column("stage", TEXT, "which stage"),
        Column("key", TEXT, "which input of that stage: a source_id, a video_id, …"),
        Column("label", TEXT, "the input in words, a file name for instance"),
        Column("outcome", TEXT, "failed, skipped, or waiting (not tried: its site is to be left alone for a while)"),
        Column("error_class", TEXT, "class of the error, or of the reason to skip"),
        Column("message", TEXT, "the original error text, or the reason"),
        Column(
            "related_key",
            TEXT,
            "of a duplicate the video it is the same as; of what waits the site left alone",
        ),
        Column("tries", pa.int32(), "how often it was tried with the same input"),
        Column("next_try_at", TIME, "when it is tried again; null: when the input changes, or by `retry --all`"),
        Column("partition", TEXT, "the stage's Dagster partition: an ingest batch, a subset, a model"),
        Column("provenance", TEXT, "what the input's rows would carry; an attempt holds only while this is unchanged"),
        Column("run_id", TEXT, "Dagster run of the last try"),
        Column("written_at", TIME, "when the last try ended"),
    ),
)

COSTS = Table(
    "costs",
    "what one run spent on one partition of one stage, by one model",
    key="cost_id",
    partition="partition",
    columns=(
        _key("cost_id", "run_id, stage, partition and model, joined by /"),
        Column("stage", TEXT, "which stage"),
        Column("partition", TEXT, "the stage's Dagster partition"),
        Column("model", TEXT, "the model that was asked; empty in the row of the stage as a whole"),
        Column(
            "units", pa.int64(), "inputs that were worked on, also those that failed; of a model those it was asked for"
        ),
        Column("wall_seconds", pa.float64(), "of the stage as a whole; null in the row of a model"),
        Column(
            "processor_seconds",
            pa.float64(),
            "of all cores, by the stage as a whole and its child processes; null in the row of a model",
        ),
        Column("model_seconds", pa.float64(), "spent waiting for the model; null in the row of the stage as a whole"),
        Column("video_seconds", pa.float64(), "of video that was read"),
        Column("frames", pa.int64(), "that were decoded from video, or looked at by the model"),
        Column("bytes_read", pa.int64(), "of video files"),
        Column("bytes_written", pa.int64(), "of rows, in memory, before compression"),
        Column("prompt_tokens", pa.int64(), "that models read"),
        Column("output_tokens", pa.int64(), "that models wrote"),
        Column("device", TEXT, "where the model ran, as torch names it, or the server's address"),
        Column("run_id", TEXT, "Dagster run"),
        Column("written_at", TIME, "when the stage ended"),
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        SOURCES,
        FEEDS,
        FEED_LOOKS,
        SOURCE_CHECKS,
        DOWNLOADS,
        ANNOTATIONS,
        RAW_VIDEOS,
        FINGERPRINTS,
        DUPLICATES,
        COMPARISONS,
        EXPORTS,
        TOMBSTONES,
        CLIPS,
        FRAMES,
        FRAME_CAPTIONS,
        CLIP_CAPTIONS,
        CLIP_EMBEDDINGS,
        CLIP_SCORES,
        SPEECH,
        TRANSCRIPTS,
        ACTIVE_CHECKPOINT,
        CORPUS_SNAPSHOT,
        SUBSETS,
        SUBSET_SNAPSHOTS,
        CHECKPOINTS,
        EVALUATIONS,
        ATTEMPTS,
        COSTS,
    )
}

# What a snapshot pins. The rest is made from snapshots, so it names the one that it was made from.
MADE_FROM_SNAPSHOTS = (CORPUS_SNAPSHOT, SUBSETS, SUBSET_SNAPSHOTS, CHECKPOINTS, EVALUATIONS)
BOOKKEEPING = (FEEDS, FEED_LOOKS, SOURCE_CHECKS, COMPARISONS, EXPORTS, TOMBSTONES, COSTS)
PINNED = tuple(table for table in TABLES.values() if table not in (*MADE_FROM_SNAPSHOTS, *BOOKKEEPING))


def render_markdown() -> str:
    """The page `docs/tables.md`: every table, every column, its type and meaning."""
    lines = ["# Tables of the lake", "", "Rendered from `resources/schema.py` by `internvid docs`.", ""]
    for table in TABLES.values():
        lines += [f"## {table.name}", "", f"One row is {table.row_is}. Key: `{table.key}`.", ""]
        lines += ["| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in table.columns]
        lines.append("")
    return "\n".join(lines)
