"""Registers the locations that a user gives on the command line: files, folders, URLs of videos, lists of these."""

from collections.abc import Callable, Sequence
from pathlib import Path

from internvid.lists.items import found_address
from resources.catalog.files import Registered, new_batcher, register
from resources.catalog.lists import SUFFIXES, register_list
from resources.catalog.web import WebSource, register_web
from resources.lake.paths import local_path
from resources.lake.store import Lake
from resources.media.store import Media

RUN_ID = "internvid ingest"  # in sources.run_id: the sensor ignores these sources, for the command processes them


def register_all(
    lake: Lake,
    media: Media,
    locations: Sequence[str],
    hours_per_batch: float | None,
    *,
    on_items: Callable[[int], object],
) -> tuple[Registered, int]:
    """Registers all locations. Also returns the number of rows of lists without a video.

    on_items: called with the number of files or rows of each commit. Raises ValueError for a location that cannot be
    registered, FileNotFoundError for a missing file or folder.
    """
    lake.create_tables()
    locations = [found_address(location, Path()) for location in locations]
    urls = [location for location in locations if local_path(location) is None]
    searches = [location for location in locations if location.startswith("ytsearch")]
    if searches:
        raise ValueError(
            f"{searches[0]} is a search: add it by `internvid feeds add`, then poll it by `internvid feeds poll`"
        )
    lists = [path for location in locations if (path := _list(location))]
    files = [location for location in locations if location not in urls and not _list(location)]
    batcher = new_batcher(lake, hours_per_batch)
    registered, bad_rows = Registered(), 0
    if files:
        registered.add(register(lake, media, files, run_id=RUN_ID, batcher=batcher, on_files=on_items))
    registered.add(register_web(lake, [WebSource(url) for url in urls], found_by=None, run_id=RUN_ID, batcher=batcher))
    for path in lists:
        listed, bad = register_list(lake, media, path, run_id=RUN_ID, batcher=batcher, on_rows=on_items)
        registered.add(listed)
        bad_rows += bad
    return registered, bad_rows


def _list(location: str) -> Path | None:
    """Returns the file of a location that is a list; None for other locations."""
    path = Path(location).expanduser()
    return path if path.suffix.lower() in SUFFIXES and path.is_file() else None
