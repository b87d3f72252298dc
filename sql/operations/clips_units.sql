-- What clips and frames work on: every stored video. They rest on the bytes alone, so a file that was moved,
-- renamed or touched is hashed again but not decoded again.
select
    video_id as unit,
    ingest_batch as partition,
    path as label,
    '' as variant,
    sha256 as inputs,
    null::varchar as skip
from raw_videos
