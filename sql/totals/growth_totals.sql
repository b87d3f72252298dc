-- ---
-- title: Sources, videos, clips and captions by the day on which their source was first seen
-- ---
with cut as (
    select
        ingest_batch,
        video_id,
        count(*) as clips,
        max(end_seconds) filter (where annotation_id is null) as seconds
    from clips
    group by ingest_batch, video_id
),

captioned as (
    select ingest_batch, video_id, count(*) as captions from clip_captions group by ingest_batch, video_id
),

stored as (
    select
        raw_videos.ingest_batch,
        raw_videos.source_id,
        count(*) as videos,
        sum(cut.clips) as clips,
        sum(captioned.captions) as captions,
        sum(try_cast(round(coalesce(cut.seconds, raw_videos.duration_seconds) * 1_000_000) as bigint)) as microseconds
    from raw_videos
    left join cut using (ingest_batch, video_id)
    left join captioned using (ingest_batch, video_id)
    group by raw_videos.ingest_batch, raw_videos.source_id
)

select
    coalesce(sources.first_seen_at, sources.written_at)::date as day,
    count(*) as total_rows,
    coalesce(sum(stored.videos), 0) as total_videos,
    coalesce(sum(stored.clips), 0) as total_clips,
    coalesce(sum(stored.captions), 0) as total_captions,
    coalesce(sum(stored.microseconds), 0) as total_microseconds
from sources
left join stored using (ingest_batch, source_id)
group by all
