"""How videos are cut and sampled: the settings, as Dagster shows and overrides them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from internvid.video.settings import ScanSettings


class CutDetection(dg.ConfigurableResource):
    """The choices that people change; None leaves the default of `internvid.video.settings.ScanSettings`."""

    detector: str | None = None
    threshold: float | None = None
    max_shot_seconds: float | None = None
    fine_frames_per_second: float | None = None
    frame_short_side: int | None = None

    def settings(self) -> ScanSettings:
        from internvid.video.settings import ScanSettings

        return ScanSettings(**{name: value for name, value in self.model_dump().items() if value is not None})
