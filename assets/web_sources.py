"""Videos on the web as rows of `sources`: registered once each, and cut into ingest batches by hours of video."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from assets.ingest_batches import BatchCutter
from assets.sources import Registered, new_cutter
from internvid.web.addresses import canonical_url, site_of
from resources.lake import Lake
from resources.refresh import digest
from resources.schema import SOURCES
from resources.tombstones import Tombstones

GUESSED_SECONDS = 351.9  # where nobody says how long a video is: InternVid's mean
ROWS_PER_COMMIT = 20_000


@dataclass(frozen=True)
class WebSource:
    """A video on the web, with what is said of it where it was found. url: http or https, in any form."""

    url: str
    site_key: str | None = None
    title: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    query_words: str | None = None
    seconds: float | None = None


def source_id_of(url: str) -> str:
    """Of a URL in any form. Raises ValueError for one that is not http or https."""
    return digest(canonical_url(url))[:16]


def register_web(
    lake: Lake,
    found: Sequence[WebSource],
    *,
    found_by: str | None,
    run_id: str,
    cutter: BatchCutter | None = None,
    tombstones: Tombstones | None = None,
) -> Registered:
    """Adds those that are not known yet, and cuts them into batches. Known ones stay as they are, also if another feed
    finds them again; forgotten ones are left out.

    found_by: the feed or list. cutter, tombstones: of a caller with many calls, which then fills batches across them
    and reads once what is forgotten. Raises ValueError for a URL that is not http or https.
    """
    cutter = cutter or new_cutter(lake)
    tombstones = tombstones or Tombstones(lake)
    registered = Registered()
    for first in range(0, len(found), ROWS_PER_COMMIT):
        _register(lake, found[first : first + ROWS_PER_COMMIT], found_by, run_id, cutter, tombstones, registered)
    return registered


def _register(
    lake: Lake,
    found: Sequence[WebSource],
    found_by: str | None,
    run_id: str,
    cutter: BatchCutter,
    tombstones: Tombstones,
    registered: Registered,
) -> None:
    by_id: dict[str, tuple[str, WebSource]] = {}
    for source in found:
        uri = canonical_url(source.url)
        by_id.setdefault(digest(uri)[:16], (uri, source))
    fresh = by_id.keys() - set(lake.known("sources", list(by_id))["source_id"].to_pylist())
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for source_id, (uri, source) in by_id.items():
        if source_id not in fresh:
            continue
        if tombstones.refuses_source(uri, source.site_key, source.channel_id, source.channel):
            registered.left_out += 1
            continue
        seconds = source.seconds or GUESSED_SECONDS
        rows.append(
            {
                "source_id": source_id,
                "uri": uri,
                "kind": "web",
                "site": site_of(uri),
                "site_key": source.site_key,
                "title": source.title,
                "channel": source.channel,
                "channel_id": source.channel_id,
                "found_by": found_by,
                "query_words": source.query_words,
                "first_seen_at": now,
                "estimated_seconds": seconds,
                "subtitles": [],
                "ingest_batch": cutter.key_for(seconds),
                "provenance": digest(uri),
                "run_id": run_id,
                "written_at": now,
            }
        )
    if rows:
        lake.upsert("sources", pa.Table.from_pylist(rows, schema=SOURCES.arrow))
    registered.new += len(rows)
    registered.unchanged += len(found) - len(fresh)
    registered.batches.update(row["ingest_batch"] for row in rows)
