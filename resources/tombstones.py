"""What was forgotten and is never taken in again: reading, adding and closing rows of `tombstones`.

What forgetting removes is `resources.forgetting`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from resources.schema import TOMBSTONES

if TYPE_CHECKING:
    from resources.lake import Lake

Kind = Literal["url", "site_key", "channel", "sha256"]
BEGUN, DONE = "begun", "done"


@dataclass(frozen=True)
class Names:
    """What something is refused by. urls: canonical URIs, also of files. site_keys: as `key_on_site` writes them.
    channels: the site's own id of a channel, else its name. sha256s: of whole files.
    """

    urls: frozenset[str] = field(default_factory=frozenset)
    site_keys: frozenset[str] = field(default_factory=frozenset)
    channels: frozenset[str] = field(default_factory=frozenset)
    sha256s: frozenset[str] = field(default_factory=frozenset)

    def by_kind(self) -> dict[Kind, frozenset[str]]:
        return {"url": self.urls, "site_key": self.site_keys, "channel": self.channels, "sha256": self.sha256s}

    def __or__(self, other: Names) -> Names:
        return Names(
            self.urls | other.urls,
            self.site_keys | other.site_keys,
            self.channels | other.channels,
            self.sha256s | other.sha256s,
        )

    def __bool__(self) -> bool:
        return any(self.by_kind().values())


class Tombstones:
    """All of them as they were when this was made, in memory: read once per run, asked for every source."""

    def __init__(self, lake: Lake) -> None:
        rows = lake.query("select kind, value, reason, asked_at from tombstones", tables=[TOMBSTONES.name])
        self._reasons: dict[tuple[str, str], str] = {
            (row["kind"], row["value"]): _in_words(row["asked_at"], row["reason"]) for row in rows.to_pylist()
        }

    def refuses_source(self, url: str, site_key: str | None, channel_id: str | None, channel: str | None) -> str | None:
        """Why the source is not taken in, in words; None where it may be. url: its canonical URI."""
        asked = (
            ("this address", "url", url),
            ("this video", "site_key", key_on_site(url, site_key) if site_key else None),
            ("its channel", "channel", channel_id),
            ("its channel", "channel", channel),
        )
        return next((found for what, kind, value in asked if (found := self._refuses(what, kind, value))), None)

    def refuses_content(self, sha256: str) -> str | None:
        """Why a file of these bytes is not taken in, in words; None where it may be."""
        return self._refuses("a file of these bytes", "sha256", sha256)

    def _refuses(self, what: str, kind: str, value: str | None) -> str | None:
        reason = self._reasons.get((kind, value)) if value else None
        return f"{what} {reason}" if reason else None


def _in_words(asked_at: datetime, reason: str | None) -> str:
    return f"was forgotten on {asked_at:%Y-%m-%d}" + (f": {reason}" if reason else "")


def key_on_site(url: str, site_key: str) -> str:
    """A site's own id of a video, with the site: what one site calls 1234 is another video on the next."""
    from internvid.web.addresses import site_of

    return f"{site_of(url)}/{site_key}"


def begin(lake: Lake, names: Names, *, reason: str | None, run_id: str) -> None:
    """Writes the tombstones that are missing, in one commit, as begun: from now on nothing of it is taken in."""
    now = datetime.now(UTC)
    rows = [
        {
            "tombstone_id": f"{kind}:{value}",
            "kind": kind,
            "value": value,
            "reason": reason,
            "state": BEGUN,
            "asked_at": now,
            "run_id": run_id,
        }
        for kind, values in names.by_kind().items()
        for value in sorted(values)
    ]
    there = set(_ids(lake, BEGUN)) | set(_ids(lake, DONE))
    missing = [row for row in rows if row["tombstone_id"] not in there]
    again = [f"{row['kind']}:{row['value']}" for row in rows if row["tombstone_id"] in there]
    if missing:
        lake.upsert(TOMBSTONES.name, pa.Table.from_pylist(missing, schema=TOMBSTONES.arrow))
    _set_state(lake, again, BEGUN)  # something of it came in nevertheless, before this lake refused it


def begun(lake: Lake) -> tuple[Names, datetime | None]:
    """What some command began to forget and did not end, and since when."""
    rows = lake.query(
        "select kind, value, asked_at from tombstones where state = $state", {"state": BEGUN}, tables=[TOMBSTONES.name]
    ).to_pylist()
    values: dict[str, set[str]] = {kind: set() for kind in Names().by_kind()}
    for row in rows:
        values[row["kind"]].add(row["value"])
    names = Names(*(frozenset(values[kind]) for kind in Names().by_kind()))
    return names, min((row["asked_at"] for row in rows), default=None)


def end(lake: Lake, names: Names) -> None:
    """Marks them as done: nothing is left of what they name."""
    _set_state(lake, [f"{kind}:{value}" for kind, values in names.by_kind().items() for value in values], DONE)


def _ids(lake: Lake, state: str) -> list[str]:
    rows = lake.query(
        "select tombstone_id from tombstones where state = $state", {"state": state}, tables=[TOMBSTONES.name]
    )
    return rows["tombstone_id"].to_pylist()


def _set_state(lake: Lake, tombstone_ids: Iterable[str], state: str) -> None:
    rows = lake.query(
        "select * from tombstones where state <> $state and tombstone_id in (select unnest($ids))",
        {"state": state, "ids": list(tombstone_ids)},
        tables=[TOMBSTONES.name],
    )
    if rows.num_rows:
        position = rows.schema.get_field_index("state")
        lake.upsert(TOMBSTONES.name, rows.set_column(position, "state", pa.array([state] * rows.num_rows)))
