"""The partition that all artifacts between `raw_videos` and `clip_captions` share, and how it is cut."""

from collections.abc import Iterable
from datetime import date

import dagster as dg

ingest_batches = dg.DynamicPartitionsDefinition(name="ingest_batch")

HOURS_PER_BATCH = 2.0  # of video: some ten minutes of work on two cores; 7 million videos are 400,000 such hours
VIDEOS_PER_BATCH = 5_000  # bounds a batch of very short videos


class BatchCutter:
    """Gives each video of a stream a batch key, YYYY-MM-DD-NNNN: new keys only, each filled before the next."""

    def __init__(self, taken: Iterable[str], today: date, hours_per_batch: float = HOURS_PER_BATCH) -> None:
        self._prefix = today.isoformat()
        self._number = max((int(key.rsplit("-", 1)[1]) for key in taken if key.startswith(self._prefix)), default=0)
        self._hours_per_batch = hours_per_batch
        self._hours = 0.0
        self._videos = 0

    def key_for(self, seconds: float) -> str:
        """The batch of the next video, `seconds` long."""
        hours = seconds / 3600
        is_full = self._hours + hours > self._hours_per_batch or self._videos >= VIDEOS_PER_BATCH
        if self._videos == 0 or is_full:
            self._number += 1
            self._hours, self._videos = 0.0, 0
        self._hours += hours
        self._videos += 1
        return f"{self._prefix}-{self._number:04d}"
