"""Reads, adds and closes rows of `tombstones`, which keep forgotten videos from being registered again.

The removal itself is in `resources.corpus.forgetting.forgetting`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from resources.lake.schema import TOMBSTONES

if TYPE_CHECKING:
    from resources.lake.store import Lake

Kind = Literal["url", "site_key", "channel", "sha256"]
BEGUN, DONE = "begun", "done"


@dataclass(frozen=True)
class Names:
    """Names of forgotten things.

    urls: canonical URIs, of files too. site_keys: as `key_on_site` writes them. channels: the site's id of a channel,
    else its name. sha256s: hashes of whole files.
    """

    urls: frozenset[str] = field(default_factory=frozenset)
    site_keys: frozenset[str] = field(default_factory=frozenset)
    channels: frozenset[str] = field(default_factory=frozenset)
    sha256s: frozenset[str] = field(default_factory=frozenset)

    def by_kind(self) -> dict[Kind, frozenset[str]]:
        return {"url": self.urls, "site_key": self.site_keys, "channel": self.channels, "sha256": self.sha256s}

    def __or__(self, names: Names) -> Names:
        return Names(
            self.urls | names.urls,
            self.site_keys | names.site_keys,
            self.channels | names.channels,
            self.sha256s | names.sha256s,
        )

    def __bool__(self) -> bool:
        return any(self.by_kind().values())


class Tombstones:
    """All tombstones, read once into memory, for a test of every source of a run."""

    def __init__(self, lake: Lake) -> None:
        rows = lake.query("select kind, value, reason, asked_at from tombstones", tables=[TOMBSTONES.name])
        self._reasons: dict[tuple[str, str], str] = {
            (row["kind"], row["value"]): _in_words(row["asked_at"], row["reason"]) for row in rows.to_pylist()
        }

    def refuses_source(self, url: str, site_key: str | None, channel_id: str | None, channel: str | None) -> str | None:
        """Returns why the source is refused; None where it is not. url: its canonical URI."""
        asked = (
            ("this address", "url", url),
            ("this video", "site_key", key_on_site(url, site_key) if site_key else None),
            ("its channel", "channel", channel_id),
            ("its channel", "channel", channel),
        )
        return next((refusal for what, kind, value in asked if (refusal := self._refuses(what, kind, value))), None)

    def refuses_content(self, sha256: str) -> str | None:
        """Returns why a file with these bytes is refused; None where it is not."""
        return self._refuses("a file of these bytes", "sha256", sha256)

    def _refuses(self, what: str, kind: str, value: str | None) -> str | None:
        reason = self._reasons.get((kind, value)) if value else None
        return f"{what} {reason}" if reason else None


def _in_words(asked_at: datetime, reason: str | None) -> str:
    return f"was forgotten on {asked_at:%Y-%m-%d}" + (f": {reason}" if reason else "")


def key_on_site(url: str, site_key: str) -> str:
    """Returns a site's id of a video together with the site: ids are unique only within a site."""
    from internvid.web.addresses import site_of

    return f"{site_of(url)}/{site_key}"


def site_id_of(key: str) -> str:
    """Returns the site's id of a video without the site. key: as `key_on_site` returns it."""
    return key.partition("/")[2]


def begin(lake: Lake, names: Names, *, reason: str | None, run_id: str, since: datetime | None = None) -> None:
    """Writes the missing tombstones in one commit, as begun: from now on nothing with these names is registered.

    since: a time before which the lake had nothing of them. Who goes on after a kill finds no row to tell it from.
    """
    now = datetime.now(UTC)
    rows = [
        {
            "tombstone_id": f"{kind}:{value}",
            "kind": kind,
            "value": value,
            "reason": reason,
            "state": BEGUN,
            "asked_at": now,
            "since": since,
            "run_id": run_id,
        }
        for kind, values in names.by_kind().items()
        for value in sorted(values)
    ]
    existing = set(_ids(lake, BEGUN)) | set(_ids(lake, DONE))
    missing = [row for row in rows if row["tombstone_id"] not in existing]
    again = [f"{row['kind']}:{row['value']}" for row in rows if row["tombstone_id"] in existing]
    if missing:
        lake.upsert(TOMBSTONES.name, pa.Table.from_pylist(missing, schema=TOMBSTONES.arrow))
    _set_state(lake, again, BEGUN, since)  # something with these names was registered before the lake refused it


def begun(lake: Lake) -> tuple[Names, datetime | None]:
    """Returns the names that an interrupted command was forgetting, and a time before which the lake had none of it."""
    rows = lake.query(
        "select kind, value, coalesce(since, asked_at) as since from tombstones where state = $state",
        {"state": BEGUN},
        tables=[TOMBSTONES.name],
    ).to_pylist()
    values: dict[str, set[str]] = {kind: set() for kind in Names().by_kind()}
    for row in rows:
        values[row["kind"]].add(row["value"])
    names = Names(*(frozenset(values[kind]) for kind in Names().by_kind()))
    return names, min((row["since"] for row in rows), default=None)


def end(lake: Lake, names: Names) -> None:
    """Marks the tombstones as done: nothing with these names is left."""
    _set_state(lake, [f"{kind}:{value}" for kind, values in names.by_kind().items() for value in values], DONE)


def _ids(lake: Lake, state: str) -> list[str]:
    rows = lake.query(
        "select tombstone_id from tombstones where state = $state", {"state": state}, tables=[TOMBSTONES.name]
    )
    return rows["tombstone_id"].to_pylist()


def _set_state(lake: Lake, tombstone_ids: Iterable[str], state: str, since: datetime | None = None) -> None:
    rows = lake.query(
        "select * from tombstones where state <> $state and tombstone_id in (select unnest($ids))",
        {"state": state, "ids": list(tombstone_ids)},
        tables=[TOMBSTONES.name],
    )
    if rows.num_rows:
        changed = [row | {"state": state, "since": since or row["since"]} for row in rows.to_pylist()]
        lake.upsert(TOMBSTONES.name, pa.Table.from_pylist(changed, schema=TOMBSTONES.arrow))
