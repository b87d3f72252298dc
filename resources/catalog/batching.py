"""Assigns videos to ingest batches, the partitions of all stages between sources and scores."""

from collections.abc import Iterable
from datetime import date

HOURS_PER_BATCH = 2.0  # hours of video: some ten minutes of work on two cores
VIDEOS_PER_BATCH = 5_000  # bounds a batch of very short videos


class IngestBatcher:
    """Gives each video of a stream a batch key, YYYY-MM-DD-NNNN. It fills a new batch before it starts the next.

    taken: keys of the existing batches. today: date of the new keys.
    """

    def __init__(self, taken: Iterable[str], today: date, hours_per_batch: float = HOURS_PER_BATCH) -> None:
        self._prefix = today.isoformat()
        self._number = max((int(key.rsplit("-", 1)[1]) for key in taken if key.startswith(self._prefix)), default=0)
        self._hours_per_batch = hours_per_batch
        self._hours = 0.0
        self._videos = 0

    def key_for(self, seconds: float) -> str:
        """Returns the batch of the next video. seconds: its length."""
        hours = seconds / 3600
        is_full = self._hours + hours > self._hours_per_batch or self._videos >= VIDEOS_PER_BATCH
        if self._videos == 0 or is_full:
            self._number += 1
            self._hours, self._videos = 0.0, 0
        self._hours += hours
        self._videos += 1
        return f"{self._prefix}-{self._number:04d}"
