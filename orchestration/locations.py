"""What the command line is told to take in: files, folders, URLs of videos, lists of these."""

from collections.abc import Callable, Sequence
from pathlib import Path

from assets.listed_sources import SUFFIXES, register_list
from assets.sources import Registered, new_cutter, register
from assets.web_sources import WebSource, register_web
from resources.lake import Lake
from resources.media import Media
from resources.video_file import local_path

RUN_ID = "internvid ingest"  # in sources.run_id: what it registers it runs itself


def register_all(
    lake: Lake,
    media: Media,
    locations: Sequence[str],
    hours_per_batch: float,
    *,
    on_items: Callable[[int], object],
) -> tuple[Registered, int]:
    """Registers all of them; also returns how many rows of lists name no video.

    Raises ValueError for what cannot be taken in, FileNotFoundError for what is not there.
    """
    lake.create_tables()
    urls = [location for location in locations if local_path(location) is None]
    searches = [location for location in locations if location.startswith("ytsearch")]
    if searches:
        raise ValueError(
            f"{searches[0]} is a search: `internvid feeds add` takes it, `internvid feeds look` looks there"
        )
    lists = [path for location in locations if (path := _list(location))]
    others = [location for location in locations if location not in urls and not _list(location)]
    cutter = new_cutter(lake, hours_per_batch)
    registered, bad_rows = Registered(), 0
    if others:
        registered.add(register(lake, media, others, run_id=RUN_ID, cutter=cutter, on_files=on_items))
    registered.add(register_web(lake, [WebSource(url) for url in urls], found_by=None, run_id=RUN_ID, cutter=cutter))
    for path in lists:
        listed, bad = register_list(lake, media, path, run_id=RUN_ID, cutter=cutter, on_rows=on_items)
        registered.add(listed)
        bad_rows += bad
    return registered, bad_rows


def _list(location: str) -> Path | None:
    """The file, where the location is a list."""
    path = Path(location).expanduser()
    return path if path.suffix.lower() in SUFFIXES and path.is_file() else None
