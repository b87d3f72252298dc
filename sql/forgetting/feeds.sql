-- Feeds of a forgotten channel, or whose address is a forgotten URL. Reads: $urls, $channels.
select feed_id
from feeds
where
    address in (select unnest($urls))
    or exists (
        select 1
        from (select unnest($channels) as channel)
        where ends_with(feeds.address, '/' || channel) or contains(feeds.address, '/' || channel || '/')
    )
