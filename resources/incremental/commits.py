"""Commits outcomes: collects rows and attempts until there is enough, then upserts them atomically table by table."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from resources.incremental.costs import Ledger
from resources.incremental.provenance import with_provenance
from resources.incremental.retries import FailurePolicy
from resources.incremental.stage import Done, Failed, Outcome, Skipped, Stage, Unit, Waiting
from resources.incremental.state import StageState
from resources.lake.schema import TABLES
from resources.lake.store import Lake

BYTES_PER_COMMIT = 64 << 20  # bounds the memory of a commit; a commit takes some 20 ms, so larger commits gain nothing
SECONDS_PER_COMMIT = 30.0  # upper bound on the work that an interrupted run loses


@dataclass
class Report:
    """Result of a run of a stage.

    added, changed, removed: rows per output table. processed: units in this run. units: units by state after it.
    """

    added: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    processed: int = 0
    units: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    ledger: Ledger = field(default_factory=Ledger)


class Commits:
    """Collects outcomes and commits them when there is enough to commit."""

    def __init__(self, lake: Lake, stage: Stage, run_id: str, report: Report, policy: FailurePolicy) -> None:
        self.lake, self.stage, self.run_id, self.report, self.policy = lake, stage, run_id, report, policy
        self._start()

    def _start(self) -> None:
        self.slices: list[list[pa.RecordBatch]] = [[] for _ in self.stage.outputs]
        self.keys: list[set[str]] = [set() for _ in self.stage.outputs]
        self.attempts: list[dict[str, Any]] = []
        self.improved: list[str] = []  # attempts that asked for better rows, which are there now
        self.bytes = 0
        self.since = time.monotonic()

    def take(self, outcome: Outcome) -> None:
        """Adds the outcome, and commits if there is enough."""
        if not isinstance(outcome, Waiting) and outcome.cost is not None:
            self.report.ledger.add(outcome.cost)
        match outcome:
            case Done():
                for index, rows in enumerate(outcome.rows):
                    for batch in rows.batches:
                        self._take_batch(index, outcome.unit, rows.count, batch)
                if outcome.release is not None:
                    outcome.release()
                if outcome.improvable is not None:
                    improvable = self._failed(Failed(outcome.unit, outcome.improvable))
                    self.attempts.append(improvable | {"outcome": "improvable"})
                elif outcome.unit.tries:
                    self.improved.append(f"{self.stage.name}/{outcome.unit.key}")
            case Failed():
                self.attempts.append(self._failed(outcome))
            case Skipped():
                self.attempts.append(self._skipped(outcome))
            case Waiting():
                self.attempts.append(self._waiting(outcome))
        if time.monotonic() - self.since >= SECONDS_PER_COMMIT:
            self.flush()

    def _take_batch(self, index: int, unit: Unit, unit_rows: int, batch: pa.RecordBatch) -> None:
        output = self.stage.outputs[index]
        keys = batch.column(output.table.key).to_pylist()
        if not self.keys[index].isdisjoint(keys):
            return  # another unit of this commit made the same row; the next pass decides about this unit
        self.keys[index].update(keys)
        assert output.table.partition is not None
        rows = with_provenance(
            batch,
            output.table,
            {
                output.table.partition: unit.partition,
                "provenance": unit.provenances[index],
                "unit_rows": unit_rows,
                "version": output.version[unit.variant],
                "run_id": self.run_id,
                "written_at": datetime.now(UTC),
            },
        )
        self.slices[index].append(rows)
        self.bytes += rows.nbytes
        self.report.ledger.bytes_written += rows.nbytes
        if self.bytes >= BYTES_PER_COMMIT:
            self.flush()

    def flush(self) -> None:
        """Commits outputs in their order, then attempts, so that units of an interrupted commit stay pending."""
        with self.report.ledger.committing():
            self._commit()
        self._start()

    def _commit(self) -> None:
        for output, batches in zip(self.stage.outputs, self.slices, strict=True):
            if batches:
                change = self.lake.upsert(output.table.name, pa.Table.from_batches(batches))
                _add(self.report.added, output.table.name, change.added)
                _add(self.report.changed, output.table.name, change.changed)
        if self.attempts:
            self.lake.upsert("attempts", pa.Table.from_pylist(self.attempts, schema=TABLES["attempts"].arrow))
        if self.improved:
            self.lake.delete("attempts", self.improved)

    def remove_stale(self, state: StageState) -> bool:
        """Removes rows without a present unit, and obsolete attempts. Returns whether there were such rows."""
        for output, keys in zip(self.stage.outputs, state.stale_keys, strict=True):
            if keys:
                _add(self.report.removed, output.table.name, self.lake.delete(output.table.name, keys))
        if state.settled_attempts:
            self.lake.delete("attempts", state.settled_attempts)
        return any(state.stale_keys)

    def _failed(self, failed: Failed) -> dict[str, Any]:
        tries = failed.unit.tries + 1
        now = datetime.now(UTC)
        return self._attempt(failed.unit, now) | {
            "outcome": "failed",
            "error_class": type(failed.error).__name__,
            # An error may quote a file name that is not text.
            "message": (str(failed.error) or repr(failed.error)).encode(errors="backslashreplace").decode(),
            "tries": tries,
            "next_try_at": self.policy.retry(type(failed.error)).next_try(tries, now),
        }

    def _skipped(self, skipped: Skipped) -> dict[str, Any]:
        return self._attempt(skipped.unit, datetime.now(UTC)) | {
            "outcome": "skipped",
            "error_class": skipped.reason_class,
            "message": skipped.reason,
            "related_key": skipped.related_key,
            "tries": 0,
        }

    def _waiting(self, waiting: Waiting) -> dict[str, Any]:
        return self._attempt(waiting.unit, datetime.now(UTC)) | {
            "outcome": "waiting",
            "error_class": waiting.reason_class,
            "message": waiting.reason,
            "related_key": waiting.site,
            "tries": waiting.unit.tries + waiting.was_tried,
            "next_try_at": waiting.until,
        }

    def _attempt(self, unit: Unit, now: datetime) -> dict[str, Any]:
        return {
            "attempt_id": f"{self.stage.name}/{unit.key}",
            "stage": self.stage.name,
            "key": unit.key,
            "label": unit.label,
            "partition": unit.partition,
            "provenance": unit.provenances[-1],
            "run_id": self.run_id,
            "written_at": now,
        }


def _add(totals: dict[str, int], name: str, number: int) -> None:
    totals[name] = totals.get(name, 0) + number
