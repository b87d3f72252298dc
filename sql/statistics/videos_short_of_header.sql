-- ---
-- title: Videos of which less was decoded than their header says
-- description: >
--   The hundred that lack most. All durations, hours and shares of the other statistics count what was decoded.
-- ---
select source, declared_seconds, duration_seconds, decoded_seconds, share, decode_errors
from short_videos
order by ranked_by
limit 100
