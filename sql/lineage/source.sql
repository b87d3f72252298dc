-- A source, with the address of the feed that found it. Reads: $source_id.
select sources.*, feeds.address as feed_address
from sources
left join feeds on sources.found_by = feeds.feed_id
where sources.source_id = $source_id
