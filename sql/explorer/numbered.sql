-- The clips of the lake, numbered from 0 in the lake's order: batch, video, time. Facets and measures give values by this
-- number, and read the columns that later tables are joined by.
create temp table numbered as
select
    (row_number() over (order by ingest_batch, video_id, start_seconds, clip_id) - 1)::integer as number,
    clip_id,
    video_id,
    ingest_batch
from clips
