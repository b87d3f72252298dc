"""The lineage of a video or a clip: its source, the rows made from it, and the subsets and models that contain it.

Only reading belongs here; `orchestration.cli.why` prints it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.catalog.names_of_sources import ID_LENGTH, named_sources
from resources.catalog.tombstones import Tombstones
from resources.lake.lookup import begins_with
from resources.lake.paths import local_path
from resources.lake.schema import TABLES
from resources.lake.statements import statement
from resources.training.checkpoint_files import TRAINED, training_folder
from resources.training.checkpoint_rows import of_all_checkpoints

if TYPE_CHECKING:
    import pyarrow as pa

    from resources.incremental.declaration import StageDefinition
    from resources.lake.store import Lake

ANNOTATIONS_SHOWN = 20


class NotKnown(ValueError):
    """The word is unknown, or names several things. The message says which."""


@dataclass(frozen=True)
class Seen:
    """A subset, checkpoint or export made with a video. clips: number of the video's clips in it; None if unknown."""

    kind: str
    name: str
    clips: int | None
    how: str


@dataclass(frozen=True)
class TrainingIndex:
    """The index of a training. clip_ids: clips of the requested videos in it."""

    path: Path
    provenance: str
    clip_ids: tuple[str, ...]


def story(lake: Lake, stages: Iterable[StageDefinition], word: str, url: str | None = None) -> dict[str, Any]:
    """Returns everything about the video or clip as plain values, lists and dicts, times as datetime.

    stages: those whose tables hold rows of a source or video, in the order in which data flows.
    word: a clip_id, video_id, source_id, sha256, path or a site's id. url: the word's canonical URL if it is a URL.
    Raises NotKnown.
    """
    source_id, video_id, clip_id = _meant(lake, word, url)
    source = _first(lake.query(statement("lineage/source"), {"source_id": source_id}))
    about = {"source_id": source_id, "video_id": video_id, "clip_id": clip_id}
    # What is made of a source, and what is not, lies in the source's batch.
    of_batch = {"partition": source["ingest_batch"]} if source and source["ingest_batch"] else None
    attempts = lake.query(statement("lineage/attempts"), about, tables=["attempts"], only=of_batch).to_pylist()
    answer: dict[str, Any] = {
        "asked": word,
        **about,
        "source": source,
        "checks": _of_source(lake, "source_checks", source_id),
        "download": _first_of(_of_source(lake, "downloads", source_id)),
        "file": _first_of(_rows(lake, "raw_videos", video_id, None)),
        "clip": _first_of(_rows(lake, "clips", video_id, clip_id)) if clip_id else None,
        "stages": [
            _rows_of_table(lake, stage.name, table.name, source, about, attempts)
            for stage in stages
            for table in stage.outputs
        ],
        "attempts": attempts,
        "captions": _rows(lake, "clip_captions", video_id, clip_id, ("clip_id", "caption", "model")),
        "frame_captions": [],
        "transcripts": _rows(lake, "transcripts", video_id, clip_id, ("clip_id", "text", "language", "english")),
        "scores": _rows(lake, "clip_scores", video_id, clip_id, ("clip_id", "score", "value", "reason", "model")),
        "annotations": _annotations(lake, source_id, video_id, clip_id),
        "subsets": [],
        "checkpoints": [],
        "duplicates": [],
        "forgotten": _forgotten(lake, source),
    }
    if clip_id:
        columns = ("scale", "seconds", "caption", "model")
        rows = _rows(lake, "frame_captions", video_id, clip_id, columns)
        answer["frame_captions"] = sorted(rows, key=lambda row: (row["scale"], row["seconds"]))
    if video_id:
        of_clips = {"video_id": video_id, "clip_id": clip_id}
        answer["subsets"] = lake.query(statement("lineage/subsets"), of_clips).to_pylist()
        answer["checkpoints"] = [vars(checkpoint) for checkpoint in trained_on(lake, [video_id], clip_id)]
        answer["duplicates"] = _copies(lake, video_id)
    return answer


def sources_called(lake: Lake, word: str, url: str | None) -> list[dict[str, Any]]:
    """Returns the sources that a user's word can mean, each with named_by: url, id, site_key, sha256 or channel.

    url: the word's canonical URL if it is a URL.
    """
    asked = {"word": word, "url": url}
    return named_sources(lake, "forgetting/matches", asked, names=[text for text in asked.values() if text])


def _meant(lake: Lake, word: str, url: str | None) -> tuple[str, str | None, str | None]:
    """Returns source_id, video_id and clip_id that the word names."""
    if clip := _first_of(_rows(lake, "clips", word[:ID_LENGTH], word, ("video_id",))):
        video = _first_of(_rows(lake, "raw_videos", clip["video_id"], None, ("source_id",)))
        if video is None:
            raise NotKnown(
                f"{word} is a clip of {clip['video_id']}, which is no longer in the lake: `internvid ingest`"
            )
        return video["source_id"], clip["video_id"], word
    sources = [row for row in sources_called(lake, word, url) if row["named_by"] != "channel"]
    if len(sources) > 1:
        uris = ", ".join(row["uri"] for row in sources[:5])
        raise NotKnown(f"{word!r} names {len(sources):,} sources: give the URI of one of them: {uris}")
    if not sources:
        forgotten = Tombstones(lake).refuses_source(url, None, None, None) if url else None
        raise NotKnown(
            f"{word!r}: {forgotten}"
            if forgotten
            else f"nothing here is called {word!r}: give a clip_id, video_id or "
            "source_id of the tables, a URL, a file, or a site's own id of a video"
        )
    source_id = sources[0]["source_id"]
    video = _first(lake.known("raw_videos", [source_id], by="source_id"))
    return source_id, video["video_id"] if video else None, None


def _rows_of_table(
    lake: Lake,
    stage: str,
    table: str,
    source: dict[str, Any] | None,
    about: dict[str, str | None],
    attempts: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Returns a table's rows of the video, grouped by version, model and run. state: done, or why there are no rows."""
    columns = ("version", "run_id", "written_at", "model", "revision", "unit_rows")
    if TABLES[table].key_begins_with_video:
        rows = _rows(lake, table, about["video_id"], about["clip_id"], columns)
    else:
        rows = _of_source(lake, table, about["source_id"], columns)
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        group = made.setdefault((row["version"], row.get("model"), row["run_id"]), row | {"rows": 0})
        group["rows"] += 1
        group["written_at"] = max(group["written_at"], row["written_at"])
    state = "done" if rows else _why_no_rows(lake, stage, table, source, about, attempts)
    return {"table": table, "rows": len(rows), "made": list(made.values()), "state": state}


def _why_no_rows(
    lake: Lake,
    stage: str,
    table: str,
    source: dict[str, Any] | None,
    about: dict[str, str | None],
    attempts: Sequence[dict[str, Any]],
) -> str:
    if table == "downloads" and source is not None and source["kind"] == "file":
        return "nothing to do: it is a file"
    if tried := [row for row in attempts if row["stage"] == stage]:
        return in_words(tried[-1])
    if table == "transcripts":
        # A clip in which nothing is said is no input: a lake has too many of them for a row each.
        if silent := [row for row in attempts if row["stage"] == "speech" and row["outcome"] == "skipped"]:
            return f"nothing to do: {silent[-1]['message']}"
        if _rows(lake, "speech", about["video_id"], None, ("cue_id",)):
            return "nothing to do: nothing is said in it"
    return "not yet"


def in_words(attempt: dict[str, Any]) -> str:
    """Returns the text of an attempt, with the time of the next try."""
    text = f"{attempt['outcome']}: {attempt['error_class']}: {attempt['message']}"
    again = attempt["next_try_at"]
    if attempt["outcome"] == "waiting":
        until = f"until {again:%Y-%m-%d %H:%M} UTC" if again else "for now"
        return f"{text} (the site is in a cooldown {until})"
    if attempt["outcome"] == "failed":
        when = (
            f"tried again at {again:%Y-%m-%d %H:%M} UTC"
            if again
            else "not tried again by itself: `internvid retry --all`"
        )
        return f"{text} ({attempt['tries']} tries; {when})"
    return text


def _rows(
    lake: Lake, table: str, video_id: str | None, clip_id: str | None, columns: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """Returns the rows made from the video or clip, in order of their keys. The index on the key finds them."""
    import pyarrow.compute as pc

    definition = TABLES[table]
    if video_id is None or len(video_id) != ID_LENGTH:
        return []
    condition = begins_with(definition.key, video_id)
    if clip_id and "clip_id" in definition.column_names:
        condition = condition & (pc.field("clip_id") == clip_id)
    return _scanned(lake, table, condition, columns)


def _of_source(
    lake: Lake, table: str, source_id: str | None, columns: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    return _scanned(lake, table, pc.field("source_id") == source_id, columns)


def _scanned(lake: Lake, table: str, condition: Any, columns: Iterable[str] | None) -> list[dict[str, Any]]:
    definition = TABLES[table]
    existing = [name for name in columns or definition.column_names if name in definition.column_names]
    wanted = list(dict.fromkeys([definition.key, *existing]))
    rows: pa.Table = lake.dataset(table).scanner(columns=wanted, filter=condition).to_table()
    return rows.sort_by(definition.key).to_pylist()


def _copies(lake: Lake, video_id: str) -> list[dict[str, Any]]:
    """Returns the copies of a video. Indexes find the pairs and their videos."""
    import pyarrow as pa

    columns = TABLES["duplicates"].column_names
    pairs = pa.concat_tables(
        lake.known("duplicates", [video_id], columns, by=side) for side in ("video_id", "other_video_id")
    )
    videos = sorted({*pairs["video_id"].to_pylist(), *pairs["other_video_id"].to_pylist()})
    with lake.connect([]) as connection:
        connection.register("duplicates", pairs)
        connection.register("raw_videos", lake.known("raw_videos", videos, ["source"]))
        rows = connection.sql(statement("lineage/duplicates"), params={"video_id": video_id})
        return rows.to_arrow_table().to_pylist()


def _annotations(lake: Lake, source_id: str, video_id: str | None, clip_id: str | None) -> list[dict[str, Any]]:
    """Returns the annotation of a clip, or the first annotations of a video."""
    rows = sorted(_of_source(lake, "annotations", source_id), key=lambda row: row["start_seconds"] or 0.0)
    if clip_id:
        clip = _first_of(_rows(lake, "clips", video_id, clip_id, ("annotation_id",)))
        return [row for row in rows if clip and row["annotation_id"] == clip["annotation_id"]]
    return rows[:ANNOTATIONS_SHOWN]


def _forgotten(lake: Lake, source: dict[str, Any] | None) -> str | None:
    if source is None:
        return None
    return Tombstones(lake).refuses_source(source["uri"], source["site_key"], source["channel_id"], source["channel"])


def _first(rows: pa.Table) -> dict[str, Any] | None:
    return _first_of(rows.slice(0, 1).to_pylist())


def _first_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return rows[0] if rows else None


# --- models that were trained on it -------------------------------------------------------------------------------


def trained_on(lake: Lake, video_ids: Sequence[str], clip_id: str | None = None) -> Iterator[Seen]:
    """Yields checkpoints that were trained on clips of the videos, or on the given clip."""
    indexed = {index.provenance: index.clip_ids for index in training_indexes(lake, video_ids)}
    checkpoints = lake.query(
        f"{of_all_checkpoints('checkpoint_id, subset, snapshot, provenance, written_at')} "
        "order by written_at, checkpoint_id",
        tables=TRAINED,
    ).to_pylist()
    for row in checkpoints:
        name = row["checkpoint_id"]
        if (training_folder(lake, row["provenance"]) / "clips.arrow").exists():
            clips = [indexed_id for indexed_id in indexed.get(row["provenance"], ()) if clip_id in (None, indexed_id)]
            if clips:
                yield Seen("checkpoint", name, len(clips), "trained on it")
            continue
        if row["snapshot"] is None:  # fine-tuned from a checkpoint of elsewhere: of this lake it has seen nothing
            continue
        held = _clips_at(lake, row["snapshot"], video_ids, clip_id)
        if held is None:
            yield Seen("checkpoint", name, None, f"unknown: {row['snapshot']} and the training's index were removed")
        elif held:
            yield Seen("checkpoint", name, held, f"may have been trained on it: {row['snapshot']} holds it")


def training_indexes(lake: Lake, video_ids: Iterable[str]) -> Iterator[TrainingIndex]:
    """Yields the indexes with clips of the videos."""
    for folder in training_folders(lake):
        path = folder / "clips.arrow"
        if path.exists() and (clip_ids := _clips_in_index(path, video_ids)):
            yield TrainingIndex(path, folder.name, clip_ids)


def training_folders(lake: Lake) -> list[Path]:
    """Returns the folders of this lake's trainings. All lakes in buckets share a folder of this machine."""
    folders = sorted(path.parent for path in training_folder(lake, "").glob("*/config.json"))
    if local_path(lake.root) is not None:
        return folders
    return [
        folder for folder in folders if json.loads((folder / "config.json").read_text())["lake"]["root"] == lake.root
    ]


def _clips_in_index(path: Path, video_ids: Iterable[str]) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(video_ids), pa.string())
    clip_ids: list[str] = []
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as index:
        for number in range(index.num_record_batches):
            clips = index.get_batch(number).column("clip_id")
            clip_ids += clips.filter(pc.is_in(pc.utf8_slice_codeunits(clips, 0, ID_LENGTH), wanted)).to_pylist()
    return tuple(clip_ids)


def _clips_at(lake: Lake, snapshot: str, video_ids: Sequence[str], clip_id: str | None) -> int | None:
    """Returns the number of the clips in the snapshot; None where it was removed."""
    import pyarrow.compute as pc

    if snapshot not in lake.dataset("clips").tags.list():
        return None
    condition = pc.field("video_id").isin(list(video_ids)) if clip_id is None else pc.field("clip_id") == clip_id
    return lake.dataset("clips", snapshot).count_rows(filter=condition)
