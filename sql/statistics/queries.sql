-- ---
-- title: What each phrase that was searched for has brought
-- description: >
--   searches: number in all categories and languages, refused ones included; polls: number of their polls; entries:
--   videos that they listed; sources: entries that were new to the lake; downloads, videos: number of sources that were
--   downloaded, and stored; share: videos divided by sources.
-- ---
with searches as (
    select feed_id, phrase, refused from feeds where kind = 'search'
),

polled as (
    select feed_id, count(*) as polls, sum(entries) as entries from feed_polls group by feed_id
),

brought as (
    select
        found_by as feed_id,
        sum(total_rows) as sources,
        sum(total_downloads) as downloads,
        sum(total_videos) as videos,
        sum(total_clips) as clips
    from source_totals
    group by found_by
)

select
    coalesce(searches.phrase, 'by hand') as phrase,
    count(*) as searches,
    count(searches.refused) as refused,
    coalesce(sum(polled.polls), 0)::bigint as polls,
    coalesce(sum(polled.entries), 0)::bigint as entries,
    coalesce(sum(brought.sources), 0)::bigint as sources,
    coalesce(sum(brought.downloads), 0)::bigint as downloads,
    coalesce(sum(brought.videos), 0)::bigint as videos,
    coalesce(sum(brought.clips), 0)::bigint as clips,
    sum(brought.videos) / nullif(sum(brought.sources), 0) as share
from searches
left join polled on searches.feed_id = polled.feed_id
left join brought on searches.feed_id = brought.feed_id
group by phrase
order by videos desc, sources desc, phrase
