"""Links to the Dagster UI, where it runs."""

from __future__ import annotations

import threading
import time
import urllib.request
from urllib.parse import quote

SECONDS_BETWEEN_CHECKS = 15.0
SECONDS_TO_ANSWER = 0.5


class DagsterUI:
    """The Dagster UI at an address. Whether it runs is looked up now and then."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._lock = threading.Lock()
        self._checked_at = float("-inf")
        self._runs = False

    def runs(self) -> bool:
        """Whether the UI answers, or did so shortly ago."""
        with self._lock:
            if time.monotonic() - self._checked_at > SECONDS_BETWEEN_CHECKS:
                self._runs = self._answers()
                self._checked_at = time.monotonic()
            return self._runs

    def asset(self, name: str, partition: str | None = None) -> str:
        """Returns the address of an asset, at one of its partitions."""
        at = f"?view=partitions&partition={quote(partition, safe='')}" if partition else ""
        return f"{self.url}/assets/{quote(name, safe='')}{at}"

    def run(self, run_id: str) -> str:
        return f"{self.url}/runs/{quote(run_id, safe='')}"

    def _answers(self) -> bool:
        if not self.url.startswith(("http://", "https://")):
            return False
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=SECONDS_TO_ANSWER) as answer:
                return b"dagster_version" in answer.read(10_000)
        except (OSError, ValueError):
            return False
