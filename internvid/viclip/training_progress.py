"""Counts steps and seconds of a training, writes its log, and saves its state: what all trainings have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from internvid.viclip.sampling import PhasePlan
from internvid.viclip.saved_state import SavedState, StepLog

Row = dict[str, Any]  # of the log: a step

LOSSES_IN_MEAN = 50


class TrainingProgress:
    """Counts steps and seconds, writes the log, and saves the state. step: the next step.

    state: what `save` wrote, of a training that goes on; None: it begins. is_first: of several processes the first
    one writes.
    """

    def __init__(
        self,
        state: Mapping[str, Any] | None,
        saved: SavedState,
        log: StepLog,
        save_every_seconds: float,
        *,
        is_first: bool = True,
    ) -> None:
        self.saved, self.log, self.save_every_seconds, self.is_first = saved, log, save_every_seconds, is_first
        self.step: int = state["step"] if state else 0
        self.seconds_before: float = state["seconds"] if state else 0.0
        self.saved_step = self.step
        self.started = self.saved_at = self.step_began = time.monotonic()
        self.begins_with(state or {})
        if is_first:
            saved.path.parent.mkdir(parents=True, exist_ok=True)
            log.truncate(self.step)

    @property
    def seconds(self) -> float:
        """Time from the start of the first step to the end of the last; earlier runs count up to their last save."""
        return self.seconds_before + self.step_began - self.started

    def begins_with(self, state: Mapping[str, Any]) -> None:
        """Takes over what `counted` returned, of a training that goes on; else the state is empty."""

    def counted(self) -> Mapping[str, Any]:
        """Returns what else was counted, which a training that goes on needs."""
        return {}

    def ended(self, row: Row, now: float) -> Row:
        """Notes the end of a step. now: by the clock of `time.monotonic`."""
        self.step, self.step_began = row["step"] + 1, now
        if self.is_first:
            self.log.add(row)
        return row

    def save_if_time(self, state: Callable[[], Mapping[str, Any]]) -> None:
        if time.monotonic() - self.saved_at >= self.save_every_seconds:
            self.save(state)

    def save(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Saves what was counted and `state()`, where a step was made since the last save."""
        if not self.is_first or self.step == self.saved_step:
            return
        self.saved.write(step=self.step, seconds=self.seconds, **self.counted(), **state())
        self.saved_step, self.saved_at = self.step, time.monotonic()


class PhaseProgress(TrainingProgress):
    """The progress of a training in phases, with the mean of its last losses."""

    def begins_with(self, state: Mapping[str, Any]) -> None:
        self.losses: list[float] = list(state["losses"]) if state else []

    @property
    def mean_loss(self) -> float:
        return sum(self.losses) / len(self.losses)

    def counted(self) -> Mapping[str, Any]:
        return {"losses": self.losses}

    def record(self, step: int, plan: PhasePlan, samples: int, loss: float, rate: float, norm: float) -> Row:
        now = time.monotonic()
        self.losses = [*self.losses, loss][-LOSSES_IN_MEAN:]
        row = {
            "step": step,
            "phase": plan.phase.name,
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": norm,
            "samples_per_second": round(samples / (now - self.step_began), 3),
        }
        return self.ended(row, now)
