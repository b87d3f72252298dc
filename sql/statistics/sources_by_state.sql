-- ---
-- title: "Sources by state: done, failed, skipped, waiting or pending"
-- description: >
--   Every source has exactly one state, so they add up to all sources. A source is done if its video is stored. stage:
--   where another source stopped; the next stage if it is pending. reason: class of its error, or of the reason to skip
--   it.
-- ---
with of_sources as (
    select
        sources.kind,
        case when raw_videos.source_id is not null then 'done' else coalesce(latest.outcome, 'pending') end as state,
        case
            when raw_videos.source_id is not null then null
            when latest.stage is not null then latest.stage
            when sources.kind = 'web' and downloads.source_id is null then 'downloads'
            else 'raw_videos'
        end as stage,
        case when raw_videos.source_id is null then latest.error_class end as reason
    from sources
    left join (select distinct source_id from raw_videos) as raw_videos on sources.source_id = raw_videos.source_id
    left join downloads on sources.source_id = downloads.source_id
    -- What a download was tried for, where it is there by now, does not tell how it stands.
    left join (
        select attempts.key, attempts.outcome, attempts.error_class, attempts.stage
        from attempts
        left join downloads on attempts.key = downloads.source_id
        where attempts.stage = 'raw_videos' or (attempts.stage = 'downloads' and downloads.source_id is null)
        qualify row_number() over (partition by attempts.key order by attempts.stage desc) = 1
    ) as latest on sources.source_id = latest.key
)

select
    kind,
    state,
    stage,
    reason,
    count(*) as sources,
    count(*) / sum(count(*)) over () as share
from of_sources
group by kind, state, stage, reason
order by kind, array_position(['done', 'failed', 'skipped', 'waiting', 'pending'], state), stage, sources desc, reason
