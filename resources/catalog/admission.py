"""What is let into the lake: exclusions by files of ids and opt-outs, and videos of benchmarks by what they show."""

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
    """Says what never comes in.

    benchmark_ids: files of ids or URLs of benchmark videos. opt_outs: files of URLs, ids, channels and hosts.
    benchmark_videos: a folder of benchmark videos; copies of them are kept out of every subset.
    """

    benchmark_ids: list[str] = []
    opt_outs: list[str] = []
    benchmark_videos: Optional[str] = None  # noqa: UP045 - Dagster's config knows no other union

    def exclusions(self) -> Exclusions:
        """Reads the files. Raises ValueError where one cannot be read, naming the line."""
        return Exclusions.read(benchmark_files=self.benchmark_ids, opt_out_files=self.opt_outs)

    def benchmarks(self, lake: Lake, media: Media, settings: ScanSettings) -> BenchmarkVideos:
        """Returns the benchmark videos. Raises FileNotFoundError where the folder does not exist."""
        return BenchmarkVideos.in_folder(lake, media, settings, self.benchmark_videos)
