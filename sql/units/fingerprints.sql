-- Units of fingerprints: every video with frames. A unit depends on the content of its frames, so a video that is sampled
-- again to the same pictures keeps its fingerprint. Frames of imported spans are left out: they repeat the moments.
with pictures as (
    select video_id, string_agg(digest, ',' order by pts, frame_id) as digests
    from frames
    where annotation_id is null
    group by video_id
)

select
    raw_videos.video_id as unit,
    raw_videos.ingest_batch as partition,
    raw_videos.source as label,
    '' as variant,
    md5(pictures.digests) as inputs,
    null::varchar as skip
from raw_videos
inner join pictures using (video_id)
