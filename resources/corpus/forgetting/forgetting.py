"""Forgets videos: finds everything that the lake has of them, and removes it.

First the tombstones are written, as begun, and last they are marked as done. Everything between is found by the names
in the tombstones and by what still exists, so an interrupted command can be repeated and ends in the same state.

A snapshot that may contain something of the videos is removed as a whole: its versions cannot be changed, and copying
every table for each snapshot of a year is too expensive for one video. Hashes of what it had otherwise than the lake
stay (`resources.corpus.removed_snapshots`). The next publishing pins the lake again and selects the subsets again. What
a model has learnt stays in its weights: the models are named, and their receipts keep hashes of the forgotten clips.

Erasing rows of tables is in `resources.lake.erasure`, Dagster's history in `resources.corpus.forgetting.run_history`,
and tombstones in `resources.catalog.tombstones`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial, reduce
from itertools import chain
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.catalog.names_of_sources import ID_LENGTH, named_sources
from resources.catalog.tombstones import Names, begin, begun, end, key_on_site, site_id_of
from resources.corpus.exports.rewriting import holds, is_export, take_out
from resources.corpus.forgetting.run_history import remove_runs, runs_that_show, scrub_files, unfinished_runs
from resources.corpus.lineage import (
    Seen,
    TrainingIndex,
    sources_called,
    trained_on,
    training_folders,
    training_indexes,
)
from resources.corpus.removed_snapshots import keep_differences
from resources.corpus.snapshots import remove_snapshots
from resources.incremental.provenance import digest
from resources.lake.erasure import remove_older_versions, rewrite_without_deleted, times_of_tags
from resources.lake.lookup import begins_with
from resources.lake.paths import StoragePath, local_path
from resources.lake.published_files import withdraw
from resources.lake.schema import ATTEMPTS, TABLES, pinned_tables
from resources.lake.statements import statement
from resources.lake.store import PIN
from resources.lake.temporary_folders import PREFIX
from resources.training.checkpoint_files import TRAINED, remove_caches
from resources.training.checkpoint_rows import of_all_checkpoints
from resources.training.lake_clips import SPANS
from resources.training.lake_dialogues import FILE_NAME as DIALOGUES_INDEX

if TYPE_CHECKING:
    import dagster as dg
    import lance
    import pyarrow as pa
    import pyarrow.compute as pc

    from resources.lake.store import Lake
    from resources.media.store import Media

KEYS_PER_DELETE = 10_000
MAX_VIDEOS_BY_KEY = 50  # up to so many are found by the index on the key; for more the column video_id is scanned
MIN_ID_CHARACTERS = 8
SUBTITLES = "subtitles"  # folder of the media store, with a folder for each source
HASHED = "sha256:"

# Tables with one of these columns, or with keys that begin with a video, contain something of a video, its source, or a
# feed.
NAMING = {"video_id", "other_video_id", "source_id", "feed_id"}
EMPTIED_LAST = ("feeds", "raw_videos", "downloads", "sources")  # by these the rows of other tables are found


def tables_to_empty() -> list[str]:
    """Returns the tables that can contain something of a target, those of the user's own stages too.

    They are in the order in which they are emptied: attempts first, because other tables explain them.
    """
    tables = [name for name, table in TABLES.items() if NAMING & set(table.column_names) or table.key_begins_with_video]
    return ["attempts", *(name for name in tables if name not in EMPTIED_LAST), *EMPTIED_LAST]


def stages_of_videos() -> list[str]:
    """Returns the stages whose units are sources, videos and their parts. A stage has the name of its first table."""
    return [
        name
        for name, table in TABLES.items()
        if table.unit is not None and (table.key_begins_with_video or table.key == "source_id")
    ]


class AmbiguousName(ValueError):
    """The name that the user gave is unknown, or names several things. The message says what to write instead."""


@dataclass(frozen=True)
class Target:
    """What is forgotten, as far as it is in the lake.

    since: lower bound on the time at which the lake had something of it; None: it has nothing of it.
    """

    names: Names
    source_ids: frozenset[str] = frozenset()
    video_ids: frozenset[str] = frozenset()
    feed_ids: frozenset[str] = frozenset()
    batches: frozenset[str] = frozenset()
    since: datetime | None = None


@dataclass(frozen=True)
class Held:
    """A number of things that the lake has. what: kind of thing. examples: names of a few of them."""

    what: str
    number: int
    unit: str
    bytes: int | None = None
    examples: tuple[str, ...] = ()


@dataclass
class Survey:
    """What the lake has of a target. held: numbers by kind. seen: subsets, models and exports made with it."""

    held: list[Held] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)


# --- what is meant ------------------------------------------------------------------------------------------------


def names_of(lake: Lake, word: str, *, is_channel: bool = False) -> tuple[Names, bool]:
    """Returns the names that an id, URL, path or channel stands for, and whether the lake knows them.

    An unknown URL, file, YouTube id or sha256 can be forgotten in advance, and so can a channel with is_channel.
    Raises AmbiguousName for other unknown words, and for words that name several things.
    """
    url = url_of(word)
    matches = sources_called(lake, word, url)
    channels = [row for row in matches if row["named_by"] == "channel"]
    videos = [] if is_channel else [row for row in matches if row["named_by"] != "channel"]
    if videos and channels:
        raise AmbiguousName(
            f"{word!r} is {_first_uris(videos)} and a channel: give the URL, or --channel for the channel"
        )
    if videos:
        sites = {row["site"] for row in videos}
        if videos[0]["named_by"] == "site_key" and len(sites) > 1:
            raise AmbiguousName(f"{word!r} is an id on several sites: give one of the URLs {_first_uris(videos)}")
        return Names(urls=frozenset(row["uri"] for row in videos)), True
    if channels:
        ids = {row["channel_id"] or row["channel"] for row in channels}
        if len(ids) > 1:
            raise AmbiguousName(
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
        raise AmbiguousName(
            f"nothing here is called {word!r}: give a video_id or source_id of the tables, a site's id of a video, "
            "a URL, a file, or with --channel a channel's id or name"
        ) from None


def url_of(word: str) -> str | None:
    """Returns the canonical URL of a word that is a URL, or of a file; None for other words."""
    from internvid.web.addresses import canonical_url, meant_url

    if _is_web(word):
        return canonical_url(word)
    if os.sep in word and not os.path.exists(word) and (url := meant_url(word)) is not None:
        return canonical_url(url)
    if word.startswith("file://") or os.sep in word or os.path.exists(word):
        return Path(local_path(word) or word).expanduser().resolve().as_uri()
    return None


def _is_web(url: str | None) -> bool:
    return url is not None and url.startswith(("http://", "https://"))


def _first_uris(rows: Sequence[dict[str, Any]]) -> str:
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return ", ".join(row["uri"] for row in rows[:3]) + more


def whole(lake: Lake, names: Names, *, since: datetime | None = None) -> Target:
    """Returns everything that the names stand for: every source of the same bytes, and all names of each.

    since: a lower bound on the time that is known from elsewhere.
    """
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
        statement("forgetting/feeds"),
        {"urls": sorted(target.names.urls), "channels": sorted(target.names.channels)},
    )
    since = min([*times, *([target.since] if target.since else [])], default=None)
    if since is not None and since > datetime.now(UTC):
        since = datetime.fromtimestamp(0, UTC)  # the clock was set back since: what is older tells nothing
    return replace(target, feed_ids=frozenset(feeds["feed_id"].to_pylist()), batches=frozenset(batches), since=since)


def _day_of(batch: str) -> datetime:
    """Returns the day on which the batch was created; its rows may have been replaced since."""
    return datetime.strptime(batch[:10], "%Y-%m-%d").replace(tzinfo=UTC)


def _sources(lake: Lake, target: Target) -> list[dict[str, Any]]:
    names = target.names
    asked = {
        "urls": sorted(names.urls),
        "site_keys": sorted(names.site_keys),
        "channels": sorted(names.channels),
        "sha256s": sorted(names.sha256s),
        "source_ids": sorted(target.source_ids),
    }
    ids_on_sites = [site_id_of(key) for key in asked["site_keys"]]
    return named_sources(lake, "forgetting/sources", asked, names={*ids_on_sites, *chain.from_iterable(asked.values())})


def _attempts(lake: Lake, target: Target) -> list[dict[str, Any]]:
    parameters = {
        "source_ids": sorted(target.source_ids),
        "video_ids": sorted(target.video_ids),
        "per_video": stages_of_videos(),
        "texts": sorted({*target.video_ids, *target.names.urls, *_ids_of_sites(target.names)}),
    }
    with lake.connect([]) as connection:
        of_sources = lake.known("annotations", parameters["source_ids"], ["source_id"], by="source_id")
        connection.register("annotations", of_sources)
        connection.register("attempts", _attempts_in_question(lake, target))
        return connection.sql(statement("forgetting/attempts"), params=parameters).to_arrow_table().to_pylist()


def _attempts_in_question(lake: Lake, target: Target) -> lance.LanceDataset | pa.Table:
    """Returns the attempts of which the statement finds some, by the table's indexes; of many videos all attempts.

    Those are: what is made of a source or a video, what names one as its original, and other stages.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    dataset = lake.dataset("attempts")
    keys, stages = sorted(target.source_ids | target.video_ids), stages_of_videos()
    if len(keys) > MAX_VIDEOS_BY_KEY:
        return dataset
    prefixes = [f"{stage}/{key}" for stage in stages for key in keys]
    conditions = [begins_with(ATTEMPTS.key, prefix) for prefix in prefixes]
    videos = pa.array(sorted(target.video_ids), pa.string())
    conditions += [pc.field("related_key").isin(videos), ~pc.field("stage").isin(stages)]
    columns = ["attempt_id", "key", "stage", "related_key", "label", "message"]
    tables = [dataset.scanner(columns=columns, filter=condition).to_table() for condition in conditions]
    rows = pa.concat_tables(tables)
    return rows.group_by("attempt_id").aggregate([(name, "min") for name in columns[1:]]).rename_columns(columns)


def _ids_of_sites(names: Names) -> set[str]:
    """Returns the site's ids that are long enough to be unambiguous within a text."""
    return {site_id for key in names.site_keys if len(site_id := site_id_of(key)) >= MIN_ID_CHARACTERS}


# --- what there is of it ------------------------------------------------------------------------------------------


def survey(lake: Lake, media: Media, instance: dg.DagsterInstance, target: Target, published: Iterable[str]) -> Survey:
    """Counts what the lake has of the target, and lists what was made with it.

    published: names of published files and folders.
    """
    result = Survey(seen=seen_by(lake, target))
    for table in reversed(tables_to_empty()):
        rows = sum(len(keys) for keys in _keys(lake, table, target))
        if rows:
            result.held.append(Held(table, rows, "rows"))
    if files := list(media_files(media, target)):
        result.held.append(Held("media store", len(files), "files", sum(size for _, size in files)))
    if folders := partial_downloads(media, target):
        result.held.append(Held("partial downloads", len(folders), "folders"))
    if snapshots := {name for name in snapshots_that_hold(lake, target) if not name.startswith(PIN)}:
        examples = _named_first(lake, snapshots)[:3]
        result.held.append(Held("snapshots", len(snapshots), "gone as a whole", examples=tuple(examples)))
    if given_out := [name for name in published if target.since and lake.file(name).exists()]:
        result.held.append(Held("published files", len(given_out), "files", examples=tuple(given_out)))
    if indexes := list(training_indexes(lake, target.video_ids)):
        result.held.append(Held("training indexes", len(indexes), "files"))
    if runs := _runs(instance, target):
        result.held.append(Held("Dagster's history", len(runs), "runs"))
    return result


def _keys(lake: Lake, table: str, target: Target) -> Iterator[list[str]]:
    """Yields keys of the rows that contain something of the target, in chunks."""
    if table == "attempts":
        keys = [row["attempt_id"] for row in _attempts(lake, target)]
        yield from (keys[first : first + KEYS_PER_DELETE] for first in range(0, len(keys), KEYS_PER_DELETE))
        return
    key, dataset = TABLES[table].key, lake.dataset(table)
    for condition in _conditions(table, target):
        scanner = dataset.scanner(columns=[key], filter=condition, batch_size=KEYS_PER_DELETE)
        yield from (batch[key].to_pylist() for batch in scanner.to_batches() if batch.num_rows)


def _conditions(table: str, target: Target) -> Iterator[pc.Expression]:
    """Yields conditions that together are true of every row that contains something of the target.

    Ranges of keys are conditions of their own: of 16 ranges in one, Lance plans for 9 seconds, of 20 for minutes.
    """
    import pyarrow.compute as pc

    definition, videos = TABLES[table], sorted(target.video_ids)
    has_column = "video_id" in definition.column_names
    if definition.key_begins_with_video and (len(videos) <= MAX_VIDEOS_BY_KEY or not has_column):
        yield from (begins_with(definition.key, video_id) for video_id in videos)
        return
    wanted = {
        "video_id": videos,
        "other_video_id": videos,
        "source_id": sorted(target.source_ids),
        "feed_id": sorted(target.feed_ids),
    }
    parts = [pc.field(name).isin(ids) for name, ids in wanted.items() if ids and name in definition.column_names]
    if parts:
        yield reduce(or_, parts)


def media_files(media: Media, target: Target) -> Iterator[tuple[StoragePath, int]]:
    """Yields path and bytes of each file of the media store: videos, incompletely stored ones too, and subtitles."""
    root = media.file(media.root)
    for sha256 in sorted(target.names.sha256s):
        for file, size in (root / sha256[:2]).files():
            if file.name.startswith(sha256):
                yield file, size
    for source_id in sorted(target.source_ids):
        yield from (root / SUBTITLES / source_id).files(with_subfolders=True)


def partial_downloads(media: Media, target: Target) -> list[Path]:
    """Returns the folders of partial downloads."""
    folders = (Path(media.download_folder(source_id)) for source_id in sorted(target.source_ids))
    return [folder for folder in folders if folder.exists()]


def own_files(lake: Lake, media: Media, target: Target) -> list[str]:
    """Returns the user's own files, which the lake reads by reference or has read. They are not removed."""
    rows = lake.known("raw_videos", sorted(target.video_ids), ["path"])
    kept = {path for path in rows["path"].to_pylist() if not path.startswith(f"{media.root.rstrip('/')}/")}
    local = {path for url in target.names.urls if url.startswith("file://") and (path := local_path(url)) is not None}
    return sorted(kept | {path for path in local if os.path.exists(path)})


def snapshots_that_hold(lake: Lake, target: Target) -> set[str]:
    """Returns snapshots, and pins of removed ones, with a version of a time when the lake may have had the target."""
    if target.since is None:
        return set()
    return {
        name
        for table in pinned_tables()
        for name, written in times_of_tags(lake.dataset(table.name)).items()
        if written >= target.since
    }


def _named_first(lake: Lake, snapshots: set[str]) -> list[str]:
    """Returns the snapshots, those first that somebody gave a name, with it: such a one is missed when it is gone."""
    rows = lake.query(
        "select distinct label, snapshot from corpus_snapshot where label is not null order by label",
        tables=["corpus_snapshot"],
    ).to_pylist()
    named = {row["snapshot"]: f"{row['label']} ({row['snapshot']})" for row in rows if row["snapshot"] in snapshots}
    return [*named.values(), *sorted(snapshots - named.keys())]


def _runs(instance: dg.DagsterInstance, target: Target) -> list[str]:
    if target.since is None:
        return []
    names = target.names
    texts = {*target.source_ids, *target.video_ids, *names.urls, *names.sha256s, *_ids_of_sites(names)}
    return runs_that_show(instance, partitions=set(target.batches), texts=sorted(texts), since=target.since)


# --- what was made with it ----------------------------------------------------------------------------------------


def seen_by(lake: Lake, target: Target) -> list[Seen]:
    """Returns subsets with clips of the target, checkpoints trained on it, and exports that may contain it."""
    if not target.video_ids:
        return []
    clips = Counter(lake.known("subsets", sorted(target.video_ids), ["subset"], by="video_id")["subset"].to_pylist())
    selected = "they are removed from it; it is selected again with the next snapshot"
    seen = [Seen("subset", subset, number, selected) for subset, number in sorted(clips.items())]
    return [*seen, *trained_on(lake, sorted(target.video_ids)), *_exports(lake, target)]


def _exports(lake: Lake, target: Target) -> Iterator[Seen]:
    """Yields exports that hold clips of the target, or may hold some: files, and folders that are not here any more."""
    for row in _rows_of_exports(lake, target):
        if row["form"] is None or not is_export(Path(row["path"])):
            yield Seen("export", row["path"], None, _content_of_export(row))
        elif clips := holds(Path(row["path"]), target.video_ids):
            yield Seen("export", row["path"], clips, "they are taken out of its files, card and manifest")


def _rows_of_exports(lake: Lake, target: Target) -> list[dict[str, Any]]:
    """Returns the exports that were written when the lake may have had something of the target."""
    return lake.query(
        "select path, form, subset, written_at from exports where written_at >= $since order by written_at, path",
        {"since": target.since},
        tables=["exports"],
    ).to_pylist()


def _content_of_export(row: dict[str, Any]) -> str:
    clips = "every captioned clip" if row["subset"] is None else f"the subset {row['subset']}"
    form = "" if row["form"] is None else f", as {row['form']}, is not there any more"
    return f"may contain it: {clips}{form}, written {row['written_at']:%Y-%m-%d %H:%M} UTC"


# --- removing it --------------------------------------------------------------------------------------------------


def forget(
    lake: Lake,
    media: Media,
    instance: dg.DagsterInstance,
    target: Target,
    *,
    reason: str | None,
    run_id: str,
    published: Iterable[str],
    also_unfinished: bool = False,
) -> Iterator[str]:
    """Removes the target; yields a line of text after each part of the work.

    While other runs may still write something of it, the tombstones stay begun, and a later call removes the rest.
    published: names of published files and folders. also_unfinished: as for `remove_older_versions`.
    """
    going_on = unfinished_runs(instance)
    begin(lake, target.names, reason=reason, run_id=run_id, since=target.since)
    yield f"{sum(map(len, target.names.by_kind().values())):,} tombstones: it is not ingested again"
    if target.since is not None:
        for index in training_indexes(lake, target.video_ids):
            _note_in_receipts(lake, index)
            _hash_seen(index)
            index.path.unlink(missing_ok=True)
            index.path.with_suffix(SPANS).unlink(missing_ok=True)
            index.path.with_name(DIALOGUES_INDEX).unlink(missing_ok=True)
            remove_caches(index.path.parent)
            yield f"the training index {index.path} is removed, {len(index.clip_ids):,} clips stay as hashes"
        _remove_training_logs(lake, target)
        for name in _remove_published(lake, published, also_unfinished=not going_on):
            yield f"{name} is removed; `internvid ingest` or the hourly publishing writes it again"
        for path, clips in _take_out_of_exports(lake, target):
            yield f"{path}: {clips:,} clips are taken out of the export"
        runs = _runs(instance, target)
        remove_runs(instance, runs)
        yield f"{len(runs):,} runs are removed from Dagster's history"
        yield f"{_remove_media(media, target):,} files are removed from the media store"
        for table in tables_to_empty():
            rows = sum(lake.delete(table, keys) for keys in _keys(lake, table, target))
            if rows:
                yield f"{table}: {rows:,} rows are deleted"
        for table in tables_to_empty():
            rewrite_without_deleted(partial(lake.dataset, table), TABLES[table])
        for name, is_kept in _remove_snapshots(lake, target, run_id):
            yield f"snapshot {name} is gone" + ("; `internvid snapshot diff` still compares with it" if is_kept else "")
        for table in tables_to_empty():
            removed = remove_older_versions(partial(lake.dataset, table), also_unfinished=also_unfinished)
            yield f"{table}: rewritten without it, {removed:,} bytes of older versions removed"
        scrub_files(instance)
    if going_on:
        yield (
            f"{len(going_on):,} runs are unfinished and may still write something of it: when they have ended, run "
            "`internvid forget --resume`"
        )
        return
    end(lake, target.names)
    yield "done"


def unfinished(lake: Lake) -> Target | None:
    """Returns the target of interrupted commands; None where there is none."""
    names, since = begun(lake)
    return whole(lake, names, since=since) if names else None


def _note_in_receipts(lake: Lake, index: TrainingIndex) -> None:
    """Adds hashes of the forgotten clips to the receipts of the training's checkpoints."""
    rows = lake.query(
        f"select path from ({of_all_checkpoints('path, provenance')}) where provenance = $provenance",
        {"provenance": index.provenance},
        tables=TRAINED,
    )
    for path in rows["path"].to_pylist():
        file = StoragePath(path, lake.file_options) / "receipt.json"
        if not file.exists():
            continue
        receipt = json.loads(file.read_text())
        hashes = sorted({*receipt.get("forgotten_clips", []), *map(hash_of, index.clip_ids)})
        if hashes != receipt.get("forgotten_clips"):
            file.write_text(json.dumps(receipt | {"forgotten_clips": hashes}, indent=2, ensure_ascii=False))


def hash_of(clip_id: str) -> str:
    """Returns the hash that replaces the id of a forgotten clip."""
    return f"{HASHED}{hashlib.sha256(clip_id.encode()).hexdigest()}"


def _hash_seen(index: TrainingIndex) -> None:
    """Replaces the ids of forgotten clips by hashes in the list of clips that the model was trained on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = index.path.with_name("seen.parquet")
    if not path.exists():
        return
    forgotten = set(index.clip_ids)
    part = path.with_name("seen.parquet.part")
    with pq.ParquetFile(path) as file, pq.ParquetWriter(part, file.schema_arrow) as writer:
        for batch in file.iter_batches():
            ids = [
                hash_of(clip_id) if clip_id in forgotten else clip_id for clip_id in batch.column("clip_id").to_pylist()
            ]
            columns = {name: batch.column(name) for name in batch.schema.names} | {"clip_id": pa.array(ids)}
            writer.write_batch(pa.RecordBatch.from_pydict(columns, schema=batch.schema))
    os.replace(part, path)


def _remove_training_logs(lake: Lake, target: Target) -> None:
    """Removes logs of trainings that name a clip of the target, as an error may."""
    for path in (folder / name for folder in training_folders(lake) for name in ("output.log", "failure.json")):
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        if any(video_id in text for video_id in target.video_ids):
            path.unlink()


def _remove_published(lake: Lake, published: Iterable[str], *, also_unfinished: bool) -> Iterator[str]:
    for name in published:
        if withdraw(lake, name):
            yield name
    if also_unfinished and (folder := local_path(lake.root)) is not None:
        for left_over in Path(folder).glob(f"{PREFIX}*"):  # of a publishing that was killed
            shutil.rmtree(left_over)


def _take_out_of_exports(lake: Lake, target: Target) -> Iterator[tuple[str, int]]:
    """Takes the target out of the exports that are where they were written. Yields path and number of clips."""
    paths = [row["path"] for row in _rows_of_exports(lake, target) if row["form"] is not None]
    for path in dict.fromkeys(paths):
        if is_export(Path(path)) and (clips := take_out(Path(path), target.video_ids)):
            yield path, clips


def _remove_snapshots(lake: Lake, target: Target, run_id: str) -> Iterator[tuple[str, bool]]:
    """Removes the snapshots that may hold the target. Yields each, and whether it can be compared with all the same."""
    names = sorted(snapshots_that_hold(lake, target))
    kept = set(keep_differences(lake, names, run_id=run_id))
    remove_snapshots(lake, names)
    yield from ((name, name in kept) for name in names if not name.startswith(PIN))


def _remove_media(media: Media, target: Target) -> int:
    for folder in partial_downloads(media, target):
        shutil.rmtree(folder)
    files = [file for file, _ in media_files(media, target)]
    for file in files:
        file.remove()
    return len(files)
