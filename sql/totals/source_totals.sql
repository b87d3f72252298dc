-- ---
-- title: Sources by where they were found and what became of them
-- description: >
--   Every source has exactly one state: done if its video is stored. stage: where another source stopped; the next stage
--   if it is pending. reason: class of its error, or of the reason to skip it.
-- ---
-- What a download was tried for, where it is there by now, does not tell how it stands.
with latest as (
    select attempts.partition as ingest_batch, attempts.key as source_id, attempts.stage, attempts.outcome, attempts.error_class
    from attempts
    left join downloads on attempts.key = downloads.source_id and attempts.partition = downloads.ingest_batch
    where attempts.stage = 'raw_videos' or (attempts.stage = 'downloads' and downloads.source_id is null)
    qualify row_number() over (partition by attempts.partition, attempts.key order by attempts.stage desc) = 1
),

cut as (
    select ingest_batch, video_id, count(*) as clips from clips group by ingest_batch, video_id
),

stored as (
    select raw_videos.ingest_batch, raw_videos.source_id, count(*) as videos, sum(cut.clips) as clips
    from raw_videos
    left join cut using (ingest_batch, video_id)
    group by raw_videos.ingest_batch, raw_videos.source_id
)

select
    sources.kind,
    sources.found_by,
    case when stored.source_id is not null then 'done' else coalesce(latest.outcome, 'pending') end as state,
    case
        when stored.source_id is not null then null
        when latest.stage is not null then latest.stage
        when sources.kind = 'web' and downloads.source_id is null then 'downloads'
        else 'raw_videos'
    end as stage,
    case when stored.source_id is null then latest.error_class end as reason,
    count(*) as total_rows,
    count(downloads.source_id) as total_downloads,
    coalesce(sum(stored.videos), 0) as total_videos,
    coalesce(sum(stored.clips), 0) as total_clips
from sources
left join stored using (ingest_batch, source_id)
left join downloads using (ingest_batch, source_id)
left join latest using (ingest_batch, source_id)
group by all
