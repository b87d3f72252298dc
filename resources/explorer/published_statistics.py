"""The published statistics, read and drawn once for each publishing: the plots are those of the report."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from resources.corpus.statistics import MART
from resources.lake.published_files import local_copy, modified
from resources.lake.temporary_folders import temporary_folder

if TYPE_CHECKING:
    from internvid.report.report import Chart
    from resources.lake.store import Lake

_lock = threading.Lock()  # matplotlib draws for one thread at a time
_last: dict[str, PublishedStatistics] = {}  # by root of the lake


@dataclass
class PublishedStatistics:
    """The statistics as they were last published. tables: rows by name of the statistic."""

    published_at: datetime
    tables: Mapping[str, list[Mapping[str, Any]]]
    _charts: dict[str, list[Chart]] = field(default_factory=dict)

    def charts(self, section: str) -> list[Chart]:
        """Returns the plots of a section of the report. Raises KeyError for an unknown one."""
        from internvid.report.report import section_charts

        with _lock:
            if section not in self._charts:
                self._charts[section] = section_charts(self.tables, section)
            return self._charts[section]


def published_statistics(lake: Lake) -> PublishedStatistics | None:
    """Returns the newest statistics; None where none were published yet."""
    from internvid.report.report import read_statistics

    published_at = modified(lake, MART)
    if published_at is None:
        return None
    known = _last.get(lake.root)
    if known is None or known.published_at != published_at:
        with temporary_folder() as folder:
            known = PublishedStatistics(published_at, read_statistics(local_copy(lake, MART, folder)))
        _last[lake.root] = known
    return known
