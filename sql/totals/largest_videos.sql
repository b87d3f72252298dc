-- ---
-- title: The videos with the most clips
-- description: >
--   seconds: the end of the last clip; what the file holds where there is none. Imported spans are left out.
-- ranked: {needed: 50, kept: 1000}
-- ---
with cut as (
    select
        ingest_batch,
        video_id,
        count(*) as clips,
        max(end_seconds) as seconds,
        avg((end_seconds - start_seconds)::decimal(18, 6)) as mean_clip_seconds,
        min(end_seconds - start_seconds) as min_clip_seconds,
        max(end_seconds - start_seconds) as max_clip_seconds
    from clips
    where annotation_id is null
    group by ingest_batch, video_id
)

select
    ingest_batch,
    []::varchar[] as ranked_within,
    {'clips': -coalesce(clips, 0), 'video_id': video_id} as ranked_by,
    video_id,
    source,
    coalesce(clips, 0) as clips,
    coalesce(seconds, duration_seconds) as seconds,
    mean_clip_seconds,
    min_clip_seconds,
    max_clip_seconds
from raw_videos
left join cut using (ingest_batch, video_id)
