-- Every source that the names match, with its row, its download and its video, which are forgotten with it.
-- Reads: $urls, $site_keys (site and its own id, joined by /), $channels (ids or names), $sha256s, $source_ids.
with known as (
    select
        sources.source_id,
        sources.uri,
        sources.site,
        case when downloads.extractor = 'generic' then null else sources.site_key end as site_key,
        sources.channel,
        sources.channel_id,
        sources.ingest_batch,
        downloads.page_url,
        case when downloads.extractor = 'generic' then null else downloads.site_key end as downloaded_site_key,
        downloads.channel as downloaded_channel,
        downloads.channel_id as downloaded_channel_id,
        downloads.channel_url,
        downloads.sha256 as downloaded_sha256,
        raw_videos.video_id,
        raw_videos.sha256,
        raw_videos.path,
        least(sources.first_seen_at, sources.written_at, downloads.written_at, raw_videos.written_at) as since
    from sources
    left join downloads using (source_id)
    left join raw_videos using (source_id)
)

select *
from known
where
    source_id in (select unnest($source_ids))
    or uri in (select unnest($urls))
    or page_url in (select unnest($urls))
    or site || '/' || site_key in (select unnest($site_keys))
    or site || '/' || downloaded_site_key in (select unnest($site_keys))
    or channel_id in (select unnest($channels))
    or channel in (select unnest($channels))
    or downloaded_channel_id in (select unnest($channels))
    or downloaded_channel in (select unnest($channels))
    or sha256 in (select unnest($sha256s))
    or downloaded_sha256 in (select unnest($sha256s))
order by source_id
