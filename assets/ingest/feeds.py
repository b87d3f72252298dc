"""`feeds`: where videos are found."""

import dagster as dg

feeds = dg.AssetSpec(
    "feeds",
    group_name="ingest",
    kinds={"lance"},
    description="Where sources are found: searches, channels, playlists. `internvid feeds` adds them.",
)
