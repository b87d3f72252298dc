"""Registers lists of videos in `sources`: files of URLs, ids and paths."""

from collections.abc import Callable
from pathlib import Path

from internvid.lists.items import Item, read_items
from internvid.lists.rows import BadItem
from resources.catalog.batching import IngestBatcher
from resources.catalog.files import Registered, register
from resources.catalog.tombstones import Tombstones
from resources.catalog.web import WebSource, new_batcher, register_web
from resources.incremental import attempts
from resources.incremental.attempts import Unusable
from resources.lake.paths import local_path
from resources.lake.store import Lake
from resources.media.store import Media

STAGE = "lists"  # in attempts: rows that name no video
SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt")


def register_list(
    lake: Lake,
    media: Media,
    path: Path,
    *,
    run_id: str,
    batcher: IngestBatcher | None = None,
    on_rows: Callable[[int], object] = lambda number: None,
) -> tuple[Registered, int]:
    """Registers the videos that the file lists. Also returns the number of rows without a video, which are in attempts.

    Relative paths start at the list's folder. Raises ValueError and OSError as `read_items`.
    """
    lake.create_tables()
    batcher, tombstones = batcher or new_batcher(lake), Tombstones(lake)
    registered, bad = Registered(), 0
    for rows in read_items(path):
        items = [row for row in rows if isinstance(row, Item)]
        unusable = [_unusable(path, row.row, row.why) for row in rows if isinstance(row, BadItem)]
        on_web = [item for item in items if local_path(item.address) is None]
        sources, refused = _web_sources(path, on_web)
        files, absent = _files(path, [item for item in items if local_path(item.address) is not None])
        unusable += refused + absent
        attempts.note(lake, STAGE, unusable, run_id)
        bad += len(unusable)
        listed = register_web(lake, sources, found_by=path.name, run_id=run_id, batcher=batcher, tombstones=tombstones)
        registered.add(listed)
        if files:
            registered.add(register(lake, media, files, run_id=run_id, batcher=batcher))
        on_rows(len(rows))
    attempts.settle(lake, STAGE, f"{path.resolve()}/", run_id)
    return registered, bad


def _web_sources(path: Path, items: list[Item]) -> tuple[list[WebSource], list[Unusable]]:
    from internvid.web.addresses import canonical_url

    sources, refused = [], []
    for item in items:
        try:
            url = canonical_url(item.address)
        except ValueError as error:
            refused.append(_unusable(path, item.row, str(error)))
            continue
        sources.append(
            WebSource(
                url,
                title=item.title,
                channel=item.channel,
                query_words=item.query_words,
                seconds=item.seconds,
            )
        )
    return sources, refused


def _files(path: Path, items: list[Item]) -> tuple[list[str], list[Unusable]]:
    files, absent = [], []
    for item in items:
        named = Path(local_path(item.address) or "").expanduser()
        file = named if named.is_absolute() else path.parent / named
        if file.is_file():
            files.append(str(file))
        else:
            absent.append(_unusable(path, item.row, f"no such file: {file}"))
    return files, absent


def _unusable(path: Path, row: int, why: str) -> Unusable:
    return Unusable(f"{path.resolve()}/{row}", f"{path}, row {row}", "BadRow", why)
