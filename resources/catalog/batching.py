"""Assigns videos to ingest batches, the partitions of all stages between sources and scores."""

from collections.abc import Iterable
from datetime import date

MIN_HOURS_PER_BATCH = 2.0  # hours of video: some ten minutes of work on two cores
MAX_HOURS_PER_BATCH = 60.0
# A batch is at most this share of what is registered before it: a small lake has many small batches, of which each is
# soon done, and seven million videos (688,000 hours) have some 12,000, which Dagster still lists at once.
SHARE_OF_LAKE = 0.02
VIDEOS_PER_BATCH = 5_000  # bounds a batch of very short videos


class IngestBatcher:
    """Gives each video of a stream a batch key, YYYY-MM-DD-NNNN. It fills a new batch before it starts the next.

    taken: keys of the existing batches. registered_hours: hours of video in them. today: date of the new keys.
    hours_per_batch: upper bound; None: it grows with the lake, from MIN_HOURS_PER_BATCH to MAX_HOURS_PER_BATCH.
    """

    def __init__(
        self,
        taken: Iterable[str],
        today: date,
        hours_per_batch: float | None = None,
        *,
        registered_hours: float = 0.0,
    ) -> None:
        self._prefix = today.isoformat()
        self._number = max((int(key.rsplit("-", 1)[1]) for key in taken if key.startswith(self._prefix)), default=0)
        self._fixed_hours_per_batch = hours_per_batch
        self._registered_hours = registered_hours
        self._hours = 0.0
        self._videos = 0

    def key_for(self, seconds: float) -> str:
        """Returns the batch of the next video. seconds: its length."""
        hours = seconds / 3600
        if self._videos == 0 or self._hours + hours > self._hours_per_batch or self._videos >= VIDEOS_PER_BATCH:
            self._number += 1
            self._registered_hours += self._hours
            self._hours, self._videos = 0.0, 0
        self._hours += hours
        self._videos += 1
        return f"{self._prefix}-{self._number:04d}"

    @property
    def _hours_per_batch(self) -> float:
        if self._fixed_hours_per_batch is not None:
            return self._fixed_hours_per_batch
        return max_hours_of_batch(self._registered_hours)


def max_hours_of_batch(registered_hours: float) -> float:
    """Returns the upper bound on a batch's hours of video. registered_hours: those of the batches before it."""
    return min(MAX_HOURS_PER_BATCH, max(MIN_HOURS_PER_BATCH, registered_hours * SHARE_OF_LAKE))


def count_batches(
    videos: int, seconds: float, *, registered_hours: float = 0.0, hours_per_batch: float | None = None
) -> int:
    """Returns the number of batches that videos of this length in all are given. hours_per_batch: as of the batcher."""
    batches, left = 0, videos
    hours = seconds / 3600 / videos if videos else 0.0
    while left > 0:
        bound = hours_per_batch or max_hours_of_batch(registered_hours)
        taken = min(left, VIDEOS_PER_BATCH, max(1, int(bound / hours)) if hours else VIDEOS_PER_BATCH)
        batches, left, registered_hours = batches + 1, left - taken, registered_hours + taken * hours
    return batches
