"""The story of a video or a clip as the tables tell it now: where it came from, what was made of it, what became of it.

Only reading belongs here. How it is printed is `orchestration.why_command`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.checkpoint_files import training_folder
from resources.schema import TABLES
from resources.statements import statement
from resources.tombstones import Tombstones

if TYPE_CHECKING:
    import pyarrow as pa

    from resources.lake import Lake

ID_LENGTH = 16  # of source_id and video_id: with the latter the keys of everything made from a video begin

# Table -> the stage that fills it, as attempts name it, in the order data flows.
STAGES = {
    "downloads": "downloads",
    "raw_videos": "raw_videos",
    "fingerprints": "fingerprints",
    "clips": "clips",
    "frames": "clips",
    "speech": "speech",
    "transcripts": "transcripts",
    "frame_captions": "frame_captions",
    "clip_captions": "clip_captions",
    "clip_embeddings": "clip_embeddings",
    "clip_scores": "clip_scores",
}
OF_VIDEO_ALONE = ("fingerprints", "speech")  # among those whose keys begin with the video: no rows of a single clip
ANNOTATIONS_SHOWN = 20


class NotKnown(ValueError):
    """The word means nothing here, or several things. The message says which."""


@dataclass(frozen=True)
class Seen:
    """What was made with it. clips: how many of its clips; None where that is not known any more."""

    kind: str
    name: str
    clips: int | None
    how: str


@dataclass(frozen=True)
class TrainingIndex:
    """The index of a training. clip_ids: those in it that were asked for."""

    path: Path
    provenance: str
    clip_ids: tuple[str, ...]


def story(lake: Lake, word: str, url: str | None = None) -> dict[str, Any]:
    """All about the video or clip: plain values, lists and dicts, times as datetime.

    word: a clip_id, video_id, source_id, sha256, path or a site's own id. url: the word's canonical URL if it is one.
    Raises NotKnown.
    """
    source_id, video_id, clip_id = _meant(lake, word, url)
    source = _first(lake.query(statement("operations/why_source"), {"source_id": source_id}))
    about = {"source_id": source_id, "video_id": video_id, "clip_id": clip_id}
    attempts = lake.query(statement("operations/why_attempts"), about, tables=["attempts"]).to_pylist()
    told: dict[str, Any] = {
        "asked": word,
        **about,
        "source": source,
        "checks": _of_source(lake, "source_checks", source_id),
        "download": _first_of(_of_source(lake, "downloads", source_id)),
        "file": _first_of(_rows(lake, "raw_videos", video_id, None)),
        "clip": _first_of(_rows(lake, "clips", video_id, clip_id)) if clip_id else None,
        "steps": [_step(lake, table, source, about, attempts) for table in STAGES],
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
        told["frame_captions"] = sorted(rows, key=lambda row: (row["scale"], row["seconds"]))
    if video_id:
        of_clips = {"video_id": video_id, "clip_id": clip_id}
        told["subsets"] = lake.query(statement("operations/why_subsets"), of_clips).to_pylist()
        told["checkpoints"] = [vars(one) for one in trained_on(lake, [video_id], clip_id)]
        told["duplicates"] = lake.query(statement("operations/why_duplicates"), {"video_id": video_id}).to_pylist()
    return told


def _meant(lake: Lake, word: str, url: str | None) -> tuple[str, str | None, str | None]:
    """source_id, video_id and clip_id of what the user means."""
    if clip := _first_of(_rows(lake, "clips", word[:ID_LENGTH], word, ("video_id",))):
        video = _first_of(_rows(lake, "raw_videos", clip["video_id"], None, ("source_id",)))
        if video is None:
            raise NotKnown(f"{word} is a clip of {clip['video_id']}, which is not here any more: `internvid ingest`")
        return video["source_id"], clip["video_id"], word
    found = lake.query(statement("operations/forget_matches"), {"word": word, "url": url}).to_pylist()
    found = [row for row in found if row["named_by"] != "channel"]
    if len(found) > 1:
        raise NotKnown(
            f"{word!r} is {len(found):,} sources: ask for one of {', '.join(row['uri'] for row in found[:5])}"
        )
    if not found:
        forgotten = Tombstones(lake).refuses_source(url, None, None, None) if url else None
        raise NotKnown(
            f"{word!r}: {forgotten}"
            if forgotten
            else f"nothing here is called {word!r}: give a clip_id, video_id or "
            "source_id of the tables, a URL, a file, or a site's own id of a video"
        )
    source_id = found[0]["source_id"]
    video = _first(
        lake.query(
            "select video_id from raw_videos where source_id = $source_id",
            {"source_id": source_id},
            tables=["raw_videos"],
        )
    )
    return source_id, video["video_id"] if video else None, None


def _step(
    lake: Lake,
    table: str,
    source: dict[str, Any] | None,
    about: dict[str, str | None],
    attempts: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """What a table holds of it: rows by what made them. state: done, or why there is nothing."""
    columns = ("version", "run_id", "written_at", "model", "revision", "unit_rows")
    if table == "downloads":
        rows = _of_source(lake, table, about["source_id"], columns)
    else:
        rows = _rows(lake, table, about["video_id"], about["clip_id"], columns)
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        by = made.setdefault((row["version"], row.get("model"), row["run_id"]), row | {"rows": 0})
        by["rows"] += 1
        by["written_at"] = max(by["written_at"], row["written_at"])
    tried = [row for row in attempts if row["stage"] == STAGES[table]]
    return {"table": table, "rows": len(rows), "made": list(made.values()), "state": _state(table, source, rows, tried)}


def _state(
    table: str, source: dict[str, Any] | None, rows: Sequence[dict[str, Any]], tried: Sequence[dict[str, Any]]
) -> str:
    if rows:
        return "done"
    if table == "downloads" and source is not None and source["kind"] == "file":
        return "nothing to do: it is a file"
    if tried:
        return in_words(tried[-1])
    return "not yet"


def in_words(attempt: dict[str, Any]) -> str:
    """An attempt with its original text, and when it is tried again."""
    text = f"{attempt['outcome']}: {attempt['error_class']}: {attempt['message']}"
    again = attempt["next_try_at"]
    if attempt["outcome"] == "waiting":
        until = f"until {again:%Y-%m-%d %H:%M} UTC" if again else "for now"
        return f"{text} (the site is left alone {until})"
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
    """Those made from the video, or the clip, in the order of their keys; found by the index on the key."""
    import pyarrow.compute as pc

    declared = TABLES[table]
    if video_id is None or len(video_id) != ID_LENGTH:
        return []
    key = pc.field(declared.key)
    condition = (key >= video_id) & (key < f"{video_id}\U0010ffff")
    if clip_id and table not in OF_VIDEO_ALONE and "clip_id" in declared.column_names:
        condition = condition & (pc.field("clip_id") == clip_id)
    return _scanned(lake, table, condition, columns)


def _of_source(
    lake: Lake, table: str, source_id: str | None, columns: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    return _scanned(lake, table, pc.field("source_id") == source_id, columns)


def _scanned(lake: Lake, table: str, condition: Any, columns: Iterable[str] | None) -> list[dict[str, Any]]:
    declared = TABLES[table]
    there = [name for name in columns or declared.column_names if name in declared.column_names]
    wanted = list(dict.fromkeys([declared.key, *there]))
    rows: pa.Table = lake.dataset(table).scanner(columns=wanted, filter=condition).to_table()
    return rows.sort_by(declared.key).to_pylist()


def _annotations(lake: Lake, source_id: str, video_id: str | None, clip_id: str | None) -> list[dict[str, Any]]:
    """Imported spans: of a clip the one that it is, of a video the first of all."""
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
    """Checkpoints that were trained on clips of the videos, or on the one clip, as far as the lake can tell."""
    indexed = {index.provenance: index.clip_ids for index in training_indexes(lake, video_ids)}
    checkpoints = lake.query(
        "select checkpoint_id, subset, snapshot, provenance from checkpoints order by written_at, checkpoint_id"
    ).to_pylist()
    for row in checkpoints:
        name = row["checkpoint_id"]
        if (training_folder(lake, row["provenance"]) / "clips.arrow").exists():
            clips = [one for one in indexed.get(row["provenance"], ()) if clip_id in (None, one)]
            if clips:
                yield Seen("checkpoint", name, len(clips), "trained on it")
            continue
        held = _clips_at(lake, row["snapshot"], video_ids, clip_id)
        if held is None:
            yield Seen("checkpoint", name, None, f"cannot be told: {row['snapshot']} and the training's index are gone")
        elif held:
            yield Seen("checkpoint", name, held, f"may have been trained on it: {row['snapshot']} holds it")


def training_indexes(lake: Lake, video_ids: Iterable[str]) -> Iterator[TrainingIndex]:
    """Those that hold clips of the videos."""
    for folder in training_folders(lake):
        path = folder / "clips.arrow"
        if path.exists() and (clip_ids := _clips_in_index(path, video_ids)):
            yield TrainingIndex(path, folder.name, clip_ids)


def training_folders(lake: Lake) -> list[Path]:
    """Of this lake's trainings. Those of all lakes in buckets lie together, on this machine."""
    folders = sorted(path.parent for path in training_folder(lake, "").glob("*/config.json"))
    if "://" not in lake.root:
        return folders
    return [
        folder for folder in folders if json.loads((folder / "config.json").read_text())["lake"]["root"] == lake.root
    ]


def _clips_in_index(path: Path, video_ids: Iterable[str]) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(video_ids), pa.string())
    found: list[str] = []
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as index:
        for number in range(index.num_record_batches):
            clips = index.get_batch(number).column("clip_id")
            found += clips.filter(pc.is_in(pc.utf8_slice_codeunits(clips, 0, ID_LENGTH), wanted)).to_pylist()
    return tuple(found)


def _clips_at(lake: Lake, snapshot: str, video_ids: Sequence[str], clip_id: str | None) -> int | None:
    """How many of the clips the snapshot holds; None where it is gone."""
    import pyarrow.compute as pc

    if snapshot not in lake.dataset("clips").tags.list():
        return None
    condition = pc.field("video_id").isin(list(video_ids)) if clip_id is None else pc.field("clip_id") == clip_id
    return lake.dataset("clips", snapshot).count_rows(filter=condition)
