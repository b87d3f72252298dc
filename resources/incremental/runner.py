"""Processes the pending units of a stage in a partition: the one function for all incremental work.

It has the pending units computed by an engine, commits their rows, records failures, removes rows without a present
unit, and reports. The terms are defined in `resources.incremental.stage`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from resources.incremental.commits import Commits, Report
from resources.incremental.costs import Ledger, starting
from resources.incremental.engine import Engine, LocalEngine
from resources.incremental.faults import SystemFault, TooManyFailures, raising_faults
from resources.incremental.progress import progress
from resources.incremental.retries import FailurePolicy
from resources.incremental.stage import Compute, Failed, Outcome, Skipped, Stage, Unit
from resources.incremental.state import read_state
from resources.lake.store import Lake

# A second pass sees rows that another writer, or an earlier unit of the same chunk, wrote meanwhile, and removes rows
# that the first made stale; a third computes the duplicates of those rows, and a fourth removes their attempts.
MAX_PASSES = 4


def process_pending(
    lake: Lake,
    stage: Stage,
    compute: Compute,
    *,
    partition: str,
    run_id: str,
    policy: FailurePolicy | None = None,
    log: Callable[[str], object] | None = None,
    engine: Engine | None = None,
) -> Report:
    """Brings the stage's tables up to date for the partition, and returns a report.

    compute: gets at most `stage.chunk_size` units and yields one outcome for each. engine: where it is called; in this
    process unless given.
    Raises SystemFault where the system is at fault. Units computed before it are committed, the others stay pending.
    """
    started = time.monotonic()
    engine = engine or LocalEngine()
    report = Report(ledger=Ledger(engine.processor_seconds, engine.started))
    commits = Commits(lake, stage, run_id, report, policy or FailurePolicy())
    with raising_faults(lake.root):
        for _ in range(MAX_PASSES):
            with starting():
                state = read_state(lake, stage, partition)
            has_removed = commits.remove_stale(state)
            if state.pending:
                _process(stage, compute, state.pending, commits, log, engine)
            elif not has_removed:
                break
        else:
            state = read_state(lake, stage, partition)
    report.units = state.counts
    report.seconds = time.monotonic() - started
    if report.processed:
        report.ledger.units = report.processed
        report.ledger.write(lake, stage.name, partition, run_id)
    return report


def _process(
    stage: Stage,
    compute: Compute,
    pending: list[dict[str, Any]],
    commits: Commits,
    log: Callable[[str], object] | None,
    engine: Engine,
) -> None:
    alarm = _Alarm(commits.policy, stage.name, len(pending))
    with progress(stage.name, len(pending), log) as advance:
        try:
            with raising_faults():
                for outcome in _outcomes(stage, compute, pending, engine):
                    with raising_faults(commits.lake.root):
                        commits.take(outcome)
                    commits.report.processed += 1
                    advance(1)
                    alarm.note(outcome)
        except SystemFault:
            with suppress(OSError):  # where the disk is at fault, what is not committed stays pending
                commits.flush()
            raise
        commits.flush()


class _Alarm:
    """Counts failures by class, and raises TooManyFailures where one class takes too large a share."""

    def __init__(self, policy: FailurePolicy, stage: str, total: int) -> None:
        self.policy, self.stage, self.total = policy, stage, total
        self.tried = 0
        self.failures: Counter[str] = Counter()

    def note(self, outcome: Outcome) -> None:
        self.tried += not isinstance(outcome, Skipped)
        if not isinstance(outcome, Failed) or not self.policy.retry(type(outcome.error)).alarm:
            return
        name = type(outcome.error).__name__
        self.failures[name] += 1
        if self.policy.is_alarming(self.failures[name], self.tried):
            raise TooManyFailures(
                f"{self.stage}: {self.failures[name]:,} of the first {self.tried:,} inputs ended with {name} "
                f"({self.failures[name] / self.tried:.0%}, limit {self.policy.max_failure_share:.0%}), so the other "
                f"{self.total - self.tried:,} were not tried and stay pending. The last: {outcome.error}. Fix the "
                "cause and run again, or set INTERNVID_MAX_FAILURE_SHARE=1 to continue regardless"
            )


def _outcomes(stage: Stage, compute: Compute, pending: list[dict[str, Any]], engine: Engine) -> Iterator[Outcome]:
    to_compute = []
    for row in pending:
        unit = Unit(row["unit"], row["partition"], row["label"], row["variant"], row["provenances"], row["tries"])
        if row["skip"] is None:
            to_compute.append(unit)
        else:
            yield Skipped(unit, "NothingToDo", row["skip"])
    yield from engine.outcomes(stage, compute, to_compute)
