-- Duplicate pairs with at least one video of $video_ids.
select *
from duplicates
where video_id in (select unnest($video_ids)) or other_video_id in (select unnest($video_ids))
