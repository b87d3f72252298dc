-- ---
-- title: The fifty videos with the most clips
-- description: >
--   If a container states no duration, seconds is the end of the last clip. Imported spans are left out.
-- ---
select video_id, source, clips, seconds, mean_clip_seconds, min_clip_seconds, max_clip_seconds
from largest_videos
order by ranked_by
limit 50
