"""`annotations`: spans of videos with captions, as released with datasets."""

import dagster as dg

annotations = dg.AssetSpec(
    "annotations",
    deps=["sources"],
    group_name="ingest",
    kinds={"lance"},
    description="Spans of videos with captions, as datasets were released: `internvid annotations` imports them.",
)
