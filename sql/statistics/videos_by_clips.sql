-- ---
-- title: The fifty videos with the most clips
-- description: >
--   If a container states no duration, seconds is the end of the last clip. Imported spans are left out.
-- ---
select
    raw_videos.video_id,
    source,
    count(clip_id) as clips,
    coalesce(any_value(duration_seconds), max(end_seconds)) as seconds,
    avg(end_seconds - start_seconds) as mean_clip_seconds,
    min(end_seconds - start_seconds) as min_clip_seconds,
    max(end_seconds - start_seconds) as max_clip_seconds
from raw_videos
left join clips on raw_videos.video_id = clips.video_id and clips.annotation_id is null
group by raw_videos.video_id, source
order by clips desc, raw_videos.video_id
limit 50
