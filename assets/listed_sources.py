"""Lists of videos as rows of `sources`: files of URLs, ids and paths."""

from collections.abc import Callable
from pathlib import Path

from assets.ingest_batches import BatchCutter
from assets.sources import Registered, register
from assets.web_sources import WebSource, new_cutter, register_web
from internvid.lists.items import Item, read_items
from internvid.lists.rows import BadItem
from resources import attempts
from resources.attempts import Unusable
from resources.lake import Lake
from resources.media import Media
from resources.tombstones import Tombstones
from resources.video_file import local_path

STAGE = "lists"  # in attempts: rows that name no video
SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt")


def register_list(
    lake: Lake,
    media: Media,
    path: Path,
    *,
    run_id: str,
    cutter: BatchCutter | None = None,
    on_rows: Callable[[int], object] = lambda number: None,
) -> tuple[Registered, int]:
    """Adds the videos that the file lists; also returns how many of its rows name none: they stand in attempts.

    Paths are taken as they stand, or from the list's folder. Raises ValueError and OSError as `read_items`.
    """
    lake.create_tables()
    cutter, tombstones = cutter or new_cutter(lake), Tombstones(lake)
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
        found = register_web(lake, sources, found_by=path.name, run_id=run_id, cutter=cutter, tombstones=tombstones)
        registered.add(found)
        if files:
            registered.add(register(lake, media, files, run_id=run_id, cutter=cutter))
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
