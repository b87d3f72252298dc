"""`source_checks`: checks whether web sources are still available. Their history shows link rot."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pyarrow as pa

from resources.catalog.downloader import Downloader, cooldown_end, sites_in_cooldown
from resources.catalog.exclusions import Exclusions
from resources.incremental.retries import FailurePolicy
from resources.lake.schema import ATTEMPTS, SOURCE_CHECKS
from resources.lake.statements import statement
from resources.lake.store import Lake

STAGE = "source_checks"
MAX_CHECKS = 500
CHECKS_PER_COMMIT = 50  # upper bound on the checks that an interrupted run loses
# Errors that the source did not cause: they do not show whether it is available.
INCONCLUSIVE = frozenset(
    {"NetworkTrouble", "BotCheck", "RateLimited", "DiskFull", "RefusedAddress", "AnswerTooLarge", "UnknownTrouble"}
)


@dataclass
class Checked:
    """Result of the checks of one run.

    unknown: checks that ended without an answer, because of the network or the site. cooldowns: end of the cooldown, by
    site.
    """

    available: int = 0
    gone: int = 0
    unknown: int = 0
    cooldowns: dict[str, datetime] = field(default_factory=dict)

    @property
    def checks(self) -> int:
        return self.available + self.gone + self.unknown


def check_sources(
    lake: Lake,
    downloader: Downloader,
    exclusions: Exclusions,
    policy: FailurePolicy,
    max_checks: int = MAX_CHECKS,
    *,
    run_id: str,
) -> Checked:
    """Checks sources, site by site, and writes every answer.

    A site that asks for a proof that the client is no robot, or reports too many requests, gets a cooldown, which
    downloads respect too; its other sources keep their place in the queue. Sources that opted out are not checked.
    """
    _remove_ended_cooldowns(lake)
    checked = Checked()
    rows = []
    for row in _answers(lake, downloader, policy, _oldest(lake, exclusions, max_checks), checked, run_id):
        rows.append(row)
        if len(rows) == CHECKS_PER_COMMIT:
            _commit(lake, rows)
            rows = []
    _commit(lake, rows)
    return checked


def _oldest(lake: Lake, exclusions: Exclusions, max_checks: int) -> list[dict[str, Any]]:
    parameters = {"sites": sorted(sites_in_cooldown(lake)), "max_sources": max_checks}
    chosen: list[dict[str, Any]] = []
    after = datetime.fromtimestamp(0, UTC), ""
    while len(chosen) < max_checks:
        rows = lake.query(
            statement("catalog/sources_to_check"), parameters | {"after": after[0], "after_id": after[1]}
        ).to_pylist()
        chosen += [
            row
            for row in rows
            if not exclusions.refuses(row["uri"], row["site_key"], row["channel_id"], row["channel"])
        ]
        if len(rows) < max_checks:
            break
        after = rows[-1]["reported_at"], rows[-1]["source_id"]
    return chosen[:max_checks]


def _answers(
    lake: Lake,
    downloader: Downloader,
    policy: FailurePolicy,
    sources: list[dict[str, Any]],
    checked: Checked,
    run_id: str,
) -> Iterator[dict[str, Any]]:
    for site, of_site in groupby(sorted(sources, key=lambda row: row["site"]), key=lambda row: row["site"]):
        rows = list(of_site)
        for row, (url, answer) in zip(rows, downloader.check([row["uri"] for row in rows]), strict=False):
            assert url == row["uri"], "answers come in order"
            yield _row(row["source_id"], answer, checked, run_id)
            until = cooldown_end(answer, 1, datetime.now(UTC), policy) if isinstance(answer, Exception) else None
            if until is not None:
                checked.cooldowns[site] = until
                _start_cooldown(lake, site, answer, until, run_id)
                break


def _row(source_id: str, answer: Any, checked: Checked, run_id: str) -> dict[str, Any]:
    """Returns the row of a check. answer: internvid.web.availability.Availability, or an error."""
    now = datetime.now(UTC)
    row = {"check_id": f"{source_id}/{now.isoformat()}", "source_id": source_id, "checked_at": now, "run_id": run_id}
    if not isinstance(answer, Exception):
        checked.available += 1
        opted_out = "OptedOut" if answer.opted_out else None
        return row | {
            "is_available": True,
            "licence": answer.licence,
            "error_class": opted_out,
            "message": answer.opted_out,
        }
    error_class = type(answer).__name__
    is_conclusive = _is_conclusive(answer)
    checked.gone += is_conclusive
    checked.unknown += not is_conclusive
    return row | {
        "is_available": False if is_conclusive else None,
        "error_class": error_class,
        "message": str(answer) or repr(answer),
    }


def _is_conclusive(error: Exception) -> bool:
    from internvid.web.errors import WebError

    return isinstance(error, WebError) and type(error).__name__ not in INCONCLUSIVE


def _start_cooldown(lake: Lake, site: str, error: Any, until: datetime, run_id: str) -> None:
    """Writes the cooldown to the table attempts, where downloads and polls of feeds read it too."""
    now = datetime.now(UTC)
    attempt = {
        "attempt_id": f"{STAGE}/{site}",
        "stage": STAGE,
        "key": site,
        "label": site,
        "outcome": "waiting",
        "error_class": type(error).__name__,
        "message": str(error) or repr(error),
        "related_key": site,
        "tries": 1,
        "next_try_at": until,
        "partition": STAGE,
        "run_id": run_id,
        "written_at": now,
    }
    lake.upsert("attempts", pa.Table.from_pylist([attempt], schema=ATTEMPTS.arrow))


def _remove_ended_cooldowns(lake: Lake) -> None:
    ended = lake.query(
        "select attempt_id from attempts where stage = $stage "
        "and (next_try_at <= $now or written_at > $now + interval 1 hour)",  # the clock was set back since
        {"stage": STAGE, "now": datetime.now(UTC)},
        tables=["attempts"],
    )
    lake.delete("attempts", ended["attempt_id"].to_pylist())


def _commit(lake: Lake, rows: list[dict[str, Any]]) -> None:
    if rows:
        lake.upsert("source_checks", pa.Table.from_pylist(rows, schema=SOURCE_CHECKS.arrow))
