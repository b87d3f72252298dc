"""Registers videos of the web in `sources`, each once, and assigns them to ingest batches by hours of video."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from internvid.web.addresses import canonical_url, site_of
from resources.catalog.batching import IngestBatcher
from resources.catalog.files import Registered, new_batcher
from resources.catalog.tombstones import Tombstones
from resources.incremental.provenance import digest
from resources.lake.schema import SOURCES
from resources.lake.store import Lake

GUESSED_SECONDS = 351.9  # assumed length of a video of unknown length: InternVid's mean
ROWS_PER_COMMIT = 20_000


@dataclass(frozen=True)
class WebSource:
    """A video on the web, with the metadata of the feed or list that names it. url: http or https, in any form."""

    url: str
    site_key: str | None = None
    title: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    query_words: str | None = None
    seconds: float | None = None


def source_id_of(url: str) -> str:
    """Returns the source id of a URL in any form. Raises ValueError for a URL that is not http or https."""
    return digest(canonical_url(url))[:16]


def register_web(
    lake: Lake,
    sources: Sequence[WebSource],
    *,
    found_by: str | None,
    run_id: str,
    batcher: IngestBatcher | None = None,
    tombstones: Tombstones | None = None,
) -> Registered:
    """Adds the sources that are not known yet, in new ingest batches. Known sources do not change; forgotten ones are
    left out.

    found_by: the feed or list that names them. batcher, tombstones: passed by a caller with several calls, to fill
    batches across them and to read tombstones once. Raises ValueError for a URL that is not http or https.
    """
    batcher = batcher or new_batcher(lake)
    tombstones = tombstones or Tombstones(lake)
    registered = Registered()
    for first in range(0, len(sources), ROWS_PER_COMMIT):
        _register(lake, sources[first : first + ROWS_PER_COMMIT], found_by, run_id, batcher, tombstones, registered)
    return registered


def _register(
    lake: Lake,
    sources: Sequence[WebSource],
    found_by: str | None,
    run_id: str,
    batcher: IngestBatcher,
    tombstones: Tombstones,
    registered: Registered,
) -> None:
    by_id: dict[str, tuple[str, WebSource]] = {}
    for source in sources:
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
                "ingest_batch": batcher.key_for(seconds),
                "provenance": digest(uri),
                "run_id": run_id,
                "written_at": now,
            }
        )
    if rows:
        lake.upsert("sources", pa.Table.from_pylist(rows, schema=SOURCES.arrow))
    registered.new += len(rows)
    registered.unchanged += len(sources) - len(fresh)
    registered.batches.update(row["ingest_batch"] for row in rows)
