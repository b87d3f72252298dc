-- ---
-- title: Growth by day
-- description: >
--   A day counts the sources that were first seen on it, and what was made of them by now: videos, clips, captions,
--   hours. The totals run from the first day to this one.
-- ---
select
    day,
    total_rows as sources,
    total_videos::bigint as videos,
    total_clips::bigint as clips,
    total_captions::bigint as captions,
    total_microseconds / 3.6e9 as hours,
    (sum(total_videos) over upto)::bigint as videos_until_then,
    (sum(total_clips) over upto)::bigint as clips_until_then,
    (sum(total_captions) over upto)::bigint as captions_until_then,
    sum(total_microseconds) over upto / 3.6e9 as hours_until_then
from growth_totals
window upto as (order by day)
order by day
