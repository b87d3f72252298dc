"""What is kept out of the lake: excluded ids and opt-outs, and copies of benchmark videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import dagster as dg

from resources.catalog.benchmark_videos import BenchmarkVideos
from resources.catalog.exclusions import Exclusions

if TYPE_CHECKING:
    from internvid.video.settings import ScanSettings
    from resources.lake.store import Lake
    from resources.media.store import Media


class Admission(dg.ConfigurableResource):
    """The configured exclusions.

    benchmark_ids: files of ids or URLs of benchmark videos. opt_outs: files of URLs, ids, channels and hosts.
    benchmark_videos: folder of benchmark videos; copies of them are kept out of every subset.
    """

    benchmark_ids: list[str] = []
    opt_outs: list[str] = []
    benchmark_videos: Optional[str] = None  # noqa: UP045 - Dagster's config knows no other union

    def exclusions(self) -> Exclusions:
        """Reads the files. Raises ValueError with the line that cannot be read."""
        return Exclusions.read(benchmark_files=self.benchmark_ids, opt_out_files=self.opt_outs)

    def benchmarks(self, lake: Lake, media: Media, settings: ScanSettings) -> BenchmarkVideos:
        """Returns the benchmark videos. Raises FileNotFoundError where the folder does not exist."""
        return BenchmarkVideos.in_folder(lake, media, settings, self.benchmark_videos)
