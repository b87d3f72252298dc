"""`source_checks`: looks at whether web sources can still be had. Their history is how links rot."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.downloads import downloads
from resources.downloader import Downloader, pause_of, sites_left_alone
from resources.exclusions import Exclusions
from resources.lake import Lake
from resources.refresh import column_schema
from resources.schema import ATTEMPTS, SOURCE_CHECKS
from resources.statements import statement

STAGE = "source_checks"
CHECKS_AT_MOST = 500
CHECKS_PER_COMMIT = 50  # what a killed run loses at most
# Errors of which the source is no cause: whether it is there is as open as before.
NOT_TOLD = frozenset({"NetworkTrouble", "BotCheck", "RateLimited", "DiskFull", "RefusedAddress", "UnknownTrouble"})


class Checks(dg.Config):
    """checks_at_most: in one run, those first of which there was no word for longest."""

    checks_at_most: int = CHECKS_AT_MOST


@dataclass
class Checked:
    """What became of the checks of one run. not_told: the network, or the site, did not let us find out. left_alone:
    when the sites that were asked too often are asked again.
    """

    available: int = 0
    gone: int = 0
    not_told: int = 0
    left_alone: dict[str, datetime] = field(default_factory=dict)

    @property
    def checks(self) -> int:
        return self.available + self.gone + self.not_told


@dg.asset(
    deps=[downloads],
    group_name="ingest",
    pool="download",
    kinds={"lance"},
    description="Looks at whether web sources can still be had, and under which licence; the oldest word first.",
)
def source_checks(
    context: dg.AssetExecutionContext, config: Checks, lake: Lake, downloader: Downloader
) -> dg.MaterializeResult:
    """One row is a look at one source. Rows stay: they are its history."""
    lake.create_tables()
    checked = check_sources(lake, downloader, config.checks_at_most, run_id=context.run_id)
    return dg.MaterializeResult(
        metadata={
            "dagster/table_name": SOURCE_CHECKS.name,
            "dagster/uri": lake.uri(SOURCE_CHECKS.name),
            "dagster/row_count": lake.dataset(SOURCE_CHECKS.name).count_rows(),
            "dagster/column_schema": column_schema(SOURCE_CHECKS),
            "checks": checked.checks,
            "available": checked.available,
            "gone": checked.gone,
            "not_told": checked.not_told,
            "sites_left_alone": {site: until.isoformat() for site, until in checked.left_alone.items()},
        }
    )


def check_sources(lake: Lake, downloader: Downloader, checks_at_most: int = CHECKS_AT_MOST, *, run_id: str) -> Checked:
    """Asks site after site, and writes down every answer. A site that asks whether we are a robot, or says that it is
    asked too often, is asked no more, by downloads neither: its other sources keep their place in the queue.

    Who opted out is not asked.
    """
    _forget_sites_whose_time_is_over(lake)
    checked = Checked()
    rows = []
    for row in _answers(lake, downloader, _oldest(lake, checks_at_most), checked, run_id):
        rows.append(row)
        if len(rows) == CHECKS_PER_COMMIT:
            _commit(lake, rows)
            rows = []
    _commit(lake, rows)
    return checked


def _oldest(lake: Lake, checks_at_most: int) -> list[dict[str, Any]]:
    exclusions = Exclusions.of_environment()
    parameters = {"sites": sorted(sites_left_alone(lake)), "most": checks_at_most}
    chosen: list[dict[str, Any]] = []
    after = datetime.fromtimestamp(0, UTC), ""
    while len(chosen) < checks_at_most:
        rows = lake.query(
            statement("operations/sources_to_check"), parameters | {"after": after[0], "after_id": after[1]}
        ).to_pylist()
        chosen += [
            row
            for row in rows
            if not exclusions.refuses(row["uri"], row["site_key"], row["channel_id"], row["channel"])
        ]
        if len(rows) < checks_at_most:
            break
        after = rows[-1]["told_at"], rows[-1]["source_id"]
    return chosen[:checks_at_most]


def _answers(
    lake: Lake, downloader: Downloader, sources: list[dict[str, Any]], checked: Checked, run_id: str
) -> Iterator[dict[str, Any]]:
    for site, of_site in groupby(sorted(sources, key=lambda row: row["site"]), key=lambda row: row["site"]):
        rows = list(of_site)
        for row, (url, answer) in zip(rows, downloader.check([row["uri"] for row in rows]), strict=False):
            assert url == row["uri"], "answers come in order"
            yield _row(row["source_id"], answer, checked, run_id)
            until = pause_of(answer, 1, datetime.now(UTC)) if isinstance(answer, Exception) else None
            if until is not None:
                checked.left_alone[site] = until
                _leave_alone(lake, site, answer, until, run_id)
                break


def _row(source_id: str, answer: Any, checked: Checked, run_id: str) -> dict[str, Any]:
    """answer: internvid.web.availability.Availability, or an error."""
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
    is_told = _is_told(answer)
    checked.gone += is_told
    checked.not_told += not is_told
    return row | {
        "is_available": False if is_told else None,
        "error_class": error_class,
        "message": str(answer) or repr(answer),
    }


def _is_told(error: Exception) -> bool:
    from internvid.web.errors import WebError

    return isinstance(error, WebError) and type(error).__name__ not in NOT_TOLD


def _leave_alone(lake: Lake, site: str, error: Any, until: datetime, run_id: str) -> None:
    """Told where downloads and looks at feeds tell it, so that they leave the site alone as well."""
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


def _forget_sites_whose_time_is_over(lake: Lake) -> None:
    over = lake.query(
        "select attempt_id from attempts where stage = $stage and next_try_at <= $now",
        {"stage": STAGE, "now": datetime.now(UTC)},
        tables=["attempts"],
    )
    lake.delete("attempts", over["attempt_id"].to_pylist())


def _commit(lake: Lake, rows: list[dict[str, Any]]) -> None:
    if rows:
        lake.upsert("source_checks", pa.Table.from_pylist(rows, schema=SOURCE_CHECKS.arrow))
