-- Registered videos that are not stored yet, and their length as it was estimated when they were registered.
select count(*) as videos, coalesce(sum(estimated_seconds), 0) as seconds
from sources
where source_id not in (select source_id from raw_videos) and estimated_seconds > 0
