-- ---
-- title: The fifty videos with the most clips
-- description: >
--   seconds: what was decoded. Imported spans are left out.
-- ---
select video_id, source, clips, seconds, mean_clip_seconds, min_clip_seconds, max_clip_seconds
from largest_videos
order by ranked_by
limit 50
