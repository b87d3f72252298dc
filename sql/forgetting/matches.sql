-- Sources that a user's word can mean, with named_by: url, id, site_key, sha256 or channel.
-- Reads: $word, $url (the word's canonical URL, or null).
with known as (
    select
        sources.source_id,
        sources.uri,
        sources.site,
        coalesce(downloads.channel_id, sources.channel_id) as channel_id,
        coalesce(downloads.channel, sources.channel) as channel,
        downloads.channel_url,
        sources.site_key,
        downloads.site_key as downloaded_site_key,
        downloads.page_url,
        coalesce(raw_videos.sha256, downloads.sha256) as sha256,
        raw_videos.video_id,
        raw_videos.path
    from sources
    left join downloads using (source_id)
    left join raw_videos using (source_id)
)

select
    source_id,
    uri,
    site,
    channel_id,
    channel,
    channel_url,
    case
        when $url in (uri, page_url) or $word = path then 'url'
        when $word in (source_id, video_id) then 'id'
        when $word = sha256 then 'sha256'
        when $word in (site_key, downloaded_site_key) then 'site_key'
        else 'channel'
    end as named_by
from known
where
    $url in (uri, page_url, channel_url)
    or $word in (source_id, video_id, sha256, site_key, downloaded_site_key, path, channel_id, channel, channel_url)
order by source_id
