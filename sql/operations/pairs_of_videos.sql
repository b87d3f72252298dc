-- The pairs of which one video, or both, is among some. Reads $video_ids.
select *
from duplicates
where video_id in (select unnest($video_ids)) or other_video_id in (select unnest($video_ids))
