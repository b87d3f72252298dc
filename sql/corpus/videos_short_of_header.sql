-- The newest $limit videos whose file ends before its header says, and the number of all.
select
    source,
    declared_seconds,
    duration_seconds,
    count(*) over () as total
from raw_videos
where short_of_header
order by written_at desc, video_id
limit $limit
