"""Forgetting videos for good: what is meant, what there is of it, and removing all of that.

First the tombstones are written, as begun, and last they are marked as done. Everything between is found by what the
tombstones name and by what is still there, so a run that was killed goes on with the next, and ends the same.

A snapshot that may hold something of it goes as a whole: its name stands for a content, its versions cannot be changed,
and copying every table for each of a year's snapshots is no price for one video. The next publishing pins the lake anew
and selects the subsets again. What a model has learnt stays in its weights: the models are named, and their receipts
keep what was forgotten, as hashes.

Tables are `resources.erasure`, Dagster's history is `resources.run_history`, tombstones are `resources.tombstones`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.erasure import erase_deleted, times_of_tags
from resources.lineage import ID_LENGTH, STAGES, Seen, TrainingIndex, trained_on, training_folders, training_indexes
from resources.published_files import filesystem
from resources.refresh import digest
from resources.run_history import remove_runs, runs_that_show, scrub_files, unfinished_runs
from resources.schema import CORPUS_SNAPSHOT, PINNED, TABLES
from resources.statements import statement
from resources.tombstones import Names, begin, begun, end, key_on_site

if TYPE_CHECKING:
    import dagster as dg
    import pyarrow.compute as pc

    from resources.lake import Lake
    from resources.media import Media

KEYS_PER_DELETE = 10_000
VIDEOS_BY_KEY = 50  # up to so many are found by the index on the key; of more the video_id of every row is read
SHORTEST_TELLING_ID = 8  # characters
SUBTITLES = "subtitles"  # folder of the media store, with a folder for each source
HASHED = "sha256:"

# Tables with one of these columns hold something of a video, its source, or a feed. Emptied last are those by which the
# others are found, and since when there can be anything; first are attempts at annotations, which these explain.
NAMING = {"video_id", "other_video_id", "source_id", "feed_id"}
EMPTIED_LAST = ("feeds", "raw_videos", "downloads", "sources")
HOLDING = (
    "attempts",
    *(name for name, table in TABLES.items() if NAMING & set(table.column_names) and name not in EMPTIED_LAST),
    *EMPTIED_LAST,
)
KEYS_BEGIN_WITH_VIDEO = frozenset(STAGES) - {"downloads"}


class NotToldApart(ValueError):
    """What the user wrote means nothing here, or several things. The message says what to write instead."""


@dataclass(frozen=True)
class Target:
    """What is forgotten, as far as it is in the lake. since: before it, nothing of it was here; None: nothing is."""

    names: Names
    source_ids: frozenset[str] = frozenset()
    video_ids: frozenset[str] = frozenset()
    feed_ids: frozenset[str] = frozenset()
    batches: frozenset[str] = frozenset()
    since: datetime | None = None


@dataclass(frozen=True)
class Held:
    """So much of something is there. examples: a few of its names."""

    what: str
    number: int
    unit: str
    bytes: int | None = None
    examples: tuple[str, ...] = ()


@dataclass
class Survey:
    held: list[Held] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)


# --- what is meant ------------------------------------------------------------------------------------------------


def names_of(lake: Lake, word: str, *, is_channel: bool = False) -> tuple[Names, bool]:
    """What the user means by an id, a URL or a path, or a channel; and whether the lake knows it.

    An unknown URL, file, id of YouTube or sha256 can be forgotten in advance, and so can a channel, where is_channel
    says that it is one. Raises NotToldApart for what is unknown otherwise, and for what means several things.
    """
    url = url_of(word)
    found = lake.query(statement("operations/forget_matches"), {"word": word, "url": url}).to_pylist()
    channels = [row for row in found if row["named_by"] == "channel"]
    videos = [] if is_channel else [row for row in found if row["named_by"] != "channel"]
    if videos and channels:
        raise NotToldApart(f"{word!r} is {_told(videos)} and a channel: give the URL, or --channel for the channel")
    if videos:
        sites = {row["site"] for row in videos}
        if videos[0]["named_by"] == "site_key" and len(sites) > 1:
            raise NotToldApart(f"{word!r} is an id on several sites: give one of the URLs {_told(videos)}")
        return Names(urls=frozenset(row["uri"] for row in videos)), True
    if channels:
        ids = {row["channel_id"] or row["channel"] for row in channels}
        if len(ids) > 1:
            raise NotToldApart(
                f"{word!r} is the name of several channels: give one of the ids {', '.join(sorted(ids))}"
            )
        return Names(channels=frozenset(ids), urls=frozenset(row["channel_url"] for row in channels) - {None}), True
    return _in_advance(word, url, is_channel), False


def _in_advance(word: str, url: str | None, is_channel: bool) -> Names:
    from internvid.web.addresses import youtube_url

    if is_channel:
        return Names(channels=frozenset([word]), urls=frozenset([url] if url else []))
    if url is not None:
        return Names(urls=frozenset([url]))
    if len(word) == 64 and set(word) <= set("0123456789abcdef"):
        return Names(sha256s=frozenset([word]))
    try:
        return Names(urls=frozenset([youtube_url(word)]))
    except ValueError:
        raise NotToldApart(
            f"nothing here is called {word!r}: give a video_id or source_id of the tables, a site's id of a video, "
            "a URL, a file, or with --channel a channel's id or name"
        ) from None


def url_of(word: str) -> str | None:
    """The canonical URL of what is written as one, or of a file; None for what is neither."""
    from internvid.web.addresses import canonical_url
    from resources.video_file import local_path

    if _is_web(word):
        return canonical_url(word)
    if word.startswith("file://") or os.sep in word or os.path.exists(word):
        return Path(local_path(word) or word).expanduser().resolve().as_uri()
    return None


def _is_web(url: str | None) -> bool:
    return url is not None and url.startswith(("http://", "https://"))


def _told(rows: Sequence[dict[str, Any]]) -> str:
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return ", ".join(row["uri"] for row in rows[:3]) + more


def whole(lake: Lake, names: Names, *, since: datetime | None = None) -> Target:
    """All that the names stand for: every source of the same bytes, and every name of each. since: known otherwise."""
    from internvid.web.addresses import canonical_url

    source_ids = frozenset(digest(url)[:ID_LENGTH] for url in names.urls)
    target = Target(names, source_ids, frozenset(sha256[:ID_LENGTH] for sha256 in names.sha256s), since=since)
    while True:
        rows = _sources(lake, target)
        videos = target.video_ids | {row["video_id"] for row in rows if row["video_id"]}
        copies = {
            row["key"]
            for row in _attempts(lake, replace(target, video_ids=videos))
            if row["related_key"] in videos and row["stage"] == "raw_videos"
        }
        urls = {row["uri"] for row in rows} | {
            canonical_url(row["page_url"]) for row in rows if _is_web(row["page_url"])
        }
        keys = {
            key_on_site(row["uri"], key)
            for row in rows
            for key in (row["site_key"], row["downloaded_site_key"])
            if row["site"] and key
        }
        sha256s = {row[name] for row in rows for name in ("sha256", "downloaded_sha256") if row[name]}
        grown = replace(
            target,
            names=target.names | Names(frozenset(urls), frozenset(keys), frozenset(), frozenset(sha256s)),
            source_ids=target.source_ids | copies | {row["source_id"] for row in rows},
            video_ids=videos | {sha256[:ID_LENGTH] for sha256 in sha256s},
        )
        if grown == target:
            return _with_circumstances(lake, target, rows)
        target = grown


def _with_circumstances(lake: Lake, target: Target, rows: list[dict[str, Any]]) -> Target:
    batches = {row["ingest_batch"] for row in rows if row["ingest_batch"]}
    times = [row["since"] for row in rows if row["since"]] + [_day_of(batch) for batch in batches]
    feeds = lake.query(
        statement("operations/forgotten_feeds"),
        {"urls": sorted(target.names.urls), "channels": sorted(target.names.channels)},
    )
    return replace(
        target,
        feed_ids=frozenset(feeds["feed_id"].to_pylist()),
        batches=frozenset(batches),
        since=min([*times, *([target.since] if target.since else [])], default=None),
    )


def _day_of(batch: str) -> datetime:
    """When the batch was cut, at the earliest: a row may have been written anew since."""
    return datetime.strptime(batch[:10], "%Y-%m-%d").replace(tzinfo=UTC)


def _sources(lake: Lake, target: Target) -> list[dict[str, Any]]:
    names = target.names
    return lake.query(
        statement("operations/forgotten_sources"),
        {
            "urls": sorted(names.urls),
            "site_keys": sorted(names.site_keys),
            "channels": sorted(names.channels),
            "sha256s": sorted(names.sha256s),
            "source_ids": sorted(target.source_ids),
        },
    ).to_pylist()


def _attempts(lake: Lake, target: Target) -> list[dict[str, Any]]:
    return lake.query(
        statement("operations/forgotten_attempts"),
        {
            "source_ids": sorted(target.source_ids),
            "video_ids": sorted(target.video_ids),
            "per_video": sorted(set(STAGES.values())),
            "texts": sorted({*target.video_ids, *target.names.urls, *_ids_of_sites(target.names)}),
        },
    ).to_pylist()


def _ids_of_sites(names: Names) -> set[str]:
    """Those that are long enough to be nothing else where they stand in a text."""
    return {found for key in names.site_keys if len(found := key.partition("/")[2]) >= SHORTEST_TELLING_ID}


# --- what there is of it ------------------------------------------------------------------------------------------


def survey(lake: Lake, media: Media, instance: dg.DagsterInstance, target: Target, published: Sequence[str]) -> Survey:
    """How much of what is there, and what was made with it. published: names of the files that the lake gives out."""
    found = Survey(seen=seen_by(lake, target))
    for table in reversed(HOLDING):
        rows = sum(len(keys) for keys in _keys(lake, table, target))
        if rows:
            found.held.append(Held(table, rows, "rows"))
    if files := list(media_files(media, target)):
        found.held.append(Held("media store", len(files), "files", sum(size for _, size in files)))
    if folders := partial_downloads(media, target):
        found.held.append(Held("partial downloads", len(folders), "folders"))
    if snapshots := sorted(snapshots_that_hold(lake, target)):
        found.held.append(Held("snapshots", len(snapshots), "gone as a whole", examples=tuple(snapshots[:3])))
    if given_out := [name for name in published if target.since and _exists(lake, name)]:
        found.held.append(Held("published files", len(given_out), "files", examples=tuple(given_out)))
    if indexes := list(training_indexes(lake, target.video_ids)):
        found.held.append(Held("training indexes", len(indexes), "files"))
    if runs := _runs(instance, target):
        found.held.append(Held("Dagster's history", len(runs), "runs"))
    return found


def _keys(lake: Lake, table: str, target: Target) -> Iterator[list[str]]:
    """Keys of the rows that hold anything of it, in parts."""
    if table == "attempts":
        keys = [row["attempt_id"] for row in _attempts(lake, target)]
        yield from (keys[first : first + KEYS_PER_DELETE] for first in range(0, len(keys), KEYS_PER_DELETE))
        return
    condition = _condition(table, target)
    if condition is None:
        return
    key = TABLES[table].key
    scanner = lake.dataset(table).scanner(columns=[key], filter=condition, batch_size=KEYS_PER_DELETE)
    yield from (batch[key].to_pylist() for batch in scanner.to_batches() if batch.num_rows)


def _condition(table: str, target: Target) -> pc.Expression | None:
    """On the rows that hold anything of it; None where none can."""
    import pyarrow.compute as pc

    declared, videos = TABLES[table], sorted(target.video_ids)
    if table in KEYS_BEGIN_WITH_VIDEO and len(videos) <= VIDEOS_BY_KEY:
        key = pc.field(declared.key)
        parts = [(key >= video_id) & (key < f"{video_id}\U0010ffff") for video_id in videos]
        return reduce(or_, parts) if parts else None
    wanted = {
        "video_id": videos,
        "other_video_id": videos,
        "source_id": sorted(target.source_ids),
        "feed_id": sorted(target.feed_ids),
    }
    parts = [pc.field(name).isin(ids) for name, ids in wanted.items() if ids and name in declared.column_names]
    return reduce(or_, parts) if parts else None


def media_files(media: Media, target: Target) -> Iterator[tuple[str, int]]:
    """Path and bytes of each file of the media store: videos, also half stored ones, and subtitles."""
    store, root = _store(media)
    for sha256 in sorted(target.names.sha256s):
        folder = f"{root}/{sha256[:2]}"
        for file in store.ls(folder, detail=True) if store.exists(folder) else ():
            if file["name"].rsplit("/", 1)[-1].startswith(sha256):
                yield file["name"], file["size"]
    for source_id in sorted(target.source_ids):
        folder = f"{root}/{SUBTITLES}/{source_id}"
        for name, file in store.find(folder, detail=True).items() if store.exists(folder) else ():
            yield name, file["size"]


def partial_downloads(media: Media, target: Target) -> list[Path]:
    """Folders in which a download is put together."""
    folders = (Path(media.download_folder(source_id)) for source_id in sorted(target.source_ids))
    return [folder for folder in folders if folder.exists()]


def _store(media: Media) -> tuple[Any, str]:
    """The filesystem that the media store lies on, and its root there."""
    import fsspec

    return fsspec.core.url_to_fs(media.root, **(media.storage_options if "://" in media.root else {}))


def own_files(lake: Lake, media: Media, target: Target) -> list[str]:
    """Files of the user's that the lake reads where they lie, or has read: they stay."""
    from resources.video_file import local_path

    rows = lake.query(
        "select path from raw_videos where video_id in (select unnest($video_ids))",
        {"video_ids": sorted(target.video_ids)},
        tables=["raw_videos"],
    )
    kept = {path for path in rows["path"].to_pylist() if not path.startswith(f"{media.root.rstrip('/')}/")}
    local = {path for url in target.names.urls if url.startswith("file://") and (path := local_path(url)) is not None}
    return sorted(kept | {path for path in local if os.path.exists(path)})


def snapshots_that_hold(lake: Lake, target: Target) -> set[str]:
    """Snapshots of which a version was written when something of it may have been there."""
    if target.since is None:
        return set()
    return {
        name
        for table in PINNED
        for name, written in times_of_tags(lake.dataset(table.name)).items()
        if written >= target.since
    }


def _runs(instance: dg.DagsterInstance, target: Target) -> list[str]:
    if target.since is None:
        return []
    names = target.names
    texts = {*target.source_ids, *target.video_ids, *names.urls, *names.sha256s, *_ids_of_sites(names)}
    return runs_that_show(instance, partitions=set(target.batches), texts=sorted(texts), since=target.since)


def _exists(lake: Lake, name: str) -> bool:
    files, root = _of_lake(lake)
    return bool(files.exists(f"{root}/{name}"))


def _of_lake(lake: Lake) -> tuple[Any, str]:
    """The filesystem that the lake lies on, and its root there."""
    import fsspec

    if "://" in lake.root:
        return filesystem(lake), lake.root.rstrip("/").split("://", 1)[1]
    return fsspec.filesystem("file"), lake.root.rstrip("/")


# --- what was made with it ----------------------------------------------------------------------------------------


def seen_by(lake: Lake, target: Target) -> list[Seen]:
    """Subsets that hold some of it, checkpoints that were trained on it, and exports that may hold it, as far as the
    lake can tell.
    """
    if not target.video_ids:
        return []
    in_subsets = lake.query(
        "select subset, count(*) as clips from subsets where video_id in (select unnest($video_ids)) "
        "group by subset order by subset",
        {"video_ids": sorted(target.video_ids)},
        tables=["subsets"],
    ).to_pylist()
    selected = "they are taken out of it; it is selected anew with the next snapshot"
    seen = [Seen("subset", row["subset"], row["clips"], selected) for row in in_subsets]
    return [*seen, *trained_on(lake, sorted(target.video_ids)), *_exports(lake, target)]


def _exports(lake: Lake, target: Target) -> list[Seen]:
    """Those that were written when something of it may have been here."""
    rows = lake.query(
        "select path, subset, written_at from exports where written_at >= $since order by written_at, path",
        {"since": target.since},
        tables=["exports"],
    ).to_pylist()
    of = {True: "every captioned clip", False: "the subset {subset}"}
    return [
        Seen(
            "export",
            row["path"],
            None,
            f"may hold it: {of[row['subset'] is None].format(**row)}, written {row['written_at']:%Y-%m-%d %H:%M} UTC",
        )
        for row in rows
    ]


# --- removing it --------------------------------------------------------------------------------------------------


def forget(
    lake: Lake,
    media: Media,
    instance: dg.DagsterInstance,
    target: Target,
    *,
    reason: str | None,
    run_id: str,
    published: Sequence[str],
    also_unfinished: bool = False,
) -> Iterator[str]:
    """Removes it; yields what was done, in words, after each step. The last step is left out while runs go on that may
    still write what they hold of it: then it stays begun, and the next call looks again.

    published: names of the files that the lake gives out. also_unfinished: as `erase_deleted` has it.
    """
    going_on = unfinished_runs(instance)
    begin(lake, target.names, reason=reason, run_id=run_id)
    yield f"{sum(map(len, target.names.by_kind().values())):,} tombstones: it is not taken in again"
    if target.since is not None:
        for index in training_indexes(lake, target.video_ids):
            _note_in_receipts(lake, index)
            _hash_seen(index)
            index.path.unlink(missing_ok=True)
            yield f"the training index {index.path} is removed, {len(index.clip_ids):,} clips stay as hashes"
        _remove_training_logs(lake, target)
        for name in _remove_published(lake, published, also_unfinished=not going_on):
            yield f"{name} is removed; `internvid ingest` or the hourly publishing makes it anew"
        for name in _remove_snapshots(lake, target):
            yield f"snapshot {name} is gone"
        runs = _runs(instance, target)
        remove_runs(instance, runs)
        yield f"{len(runs):,} runs are removed from Dagster's history"
        yield f"{_remove_media(media, target):,} files are removed from the media store"
        for table in HOLDING:
            rows = sum(lake.delete(table, keys) for keys in _keys(lake, table, target))
            if rows:
                yield f"{table}: {rows:,} rows are deleted"
        for table in HOLDING:
            removed = erase_deleted(partial(lake.dataset, table), TABLES[table], also_unfinished=also_unfinished)
            yield f"{table}: written anew without it, {removed:,} bytes of older versions removed"
        scrub_files(instance)
    if going_on:
        yield (
            f"{len(going_on):,} runs go on that may still write something of it: when they have ended, run "
            "`internvid forget --resume`"
        )
        return
    end(lake, target.names)
    yield "done"


def unfinished(lake: Lake) -> Target | None:
    """What was begun to be forgotten and not ended; None where there is nothing."""
    names, since = begun(lake)
    return whole(lake, names, since=since) if names else None


def _note_in_receipts(lake: Lake, index: TrainingIndex) -> None:
    """The receipts of the training's checkpoints say how many of its clips were forgotten, and which, as hashes."""
    files, _ = _of_lake(lake)
    rows = lake.query(
        "select path from checkpoints where provenance = $provenance",
        {"provenance": index.provenance},
        tables=["checkpoints"],
    )
    folders = [path.split("://", 1)[-1] for path in rows["path"].to_pylist()]
    for path in [f"{folder}/receipt.json" for folder in folders]:
        if not files.exists(path):
            continue
        receipt = json.loads(files.cat_file(path))
        hashes = sorted({*receipt.get("forgotten_clips", []), *map(hash_of, index.clip_ids)})
        if hashes != receipt.get("forgotten_clips"):
            _replace_file(files, path, json.dumps(receipt | {"forgotten_clips": hashes}, indent=2, ensure_ascii=False))


def _replace_file(files: Any, path: str, text: str) -> None:
    """Whole or not at all."""
    files.pipe_file(f"{path}.part", text.encode())
    files.mv(f"{path}.part", path)


def hash_of(clip_id: str) -> str:
    """What stands for a forgotten clip where it is to be known that there was one."""
    return f"{HASHED}{hashlib.sha256(clip_id.encode()).hexdigest()}"


def _hash_seen(index: TrainingIndex) -> None:
    """In the list of clips that the model saw, ids become hashes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = index.path.with_name("seen.parquet")
    if not path.exists():
        return
    forgotten = set(index.clip_ids)
    part = path.with_name("seen.parquet.part")
    with pq.ParquetFile(path) as file, pq.ParquetWriter(part, file.schema_arrow) as writer:
        for batch in file.iter_batches():
            ids = [hash_of(one) if one in forgotten else one for one in batch.column("clip_id").to_pylist()]
            columns = {name: batch.column(name) for name in batch.schema.names} | {"clip_id": pa.array(ids)}
            writer.write_batch(pa.RecordBatch.from_pydict(columns, schema=batch.schema))
    os.replace(part, path)


def _remove_training_logs(lake: Lake, target: Target) -> None:
    """What trainings printed, where it names a clip: an error may."""
    for path in (folder / name for folder in training_folders(lake) for name in ("output.log", "failure.json")):
        told = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        if any(video_id in told for video_id in target.video_ids):
            path.unlink()


def _remove_published(lake: Lake, published: Sequence[str], *, also_unfinished: bool) -> Iterator[str]:
    files, root = _of_lake(lake)
    for name in published:
        if files.exists(f"{root}/{name}"):
            files.rm_file(f"{root}/{name}")
            yield name
    if also_unfinished and "://" not in lake.root:
        for left in Path(lake.root).glob("internvid-*"):  # of a publishing that was killed
            shutil.rmtree(left)


def _remove_snapshots(lake: Lake, target: Target) -> list[str]:
    names = snapshots_that_hold(lake, target)
    rows = lake.query(
        "select snapshot_table from corpus_snapshot where snapshot in (select unnest($names))",
        {"names": sorted(names)},
        tables=[CORPUS_SNAPSHOT.name],
    )
    # Rows first: a snapshot that is named has all of its tags.
    lake.delete(CORPUS_SNAPSHOT.name, rows["snapshot_table"].to_pylist())
    for table in PINNED:
        tags = lake.dataset(table.name).tags
        for name in names & set(tags.list()):
            tags.delete(name)
    return sorted(names)


def _remove_media(media: Media, target: Target) -> int:
    for folder in partial_downloads(media, target):
        shutil.rmtree(folder)
    store, _ = _store(media)
    files = [path for path, _ in media_files(media, target)]
    for path in files:
        store.rm_file(path)
    return len(files)
