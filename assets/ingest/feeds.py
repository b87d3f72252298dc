"""`feeds`: searches, channels and playlists that are polled for new videos."""

import dagster as dg

feeds = dg.AssetSpec(
    "feeds",
    group_name="ingest",
    kinds={"lance"},
    description="Searches, channels and playlists that are polled for new videos. `internvid feeds` adds them.",
)
