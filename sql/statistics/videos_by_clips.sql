-- The fifty videos with the most clips
-- A video whose container states no duration is given the end of its last clip. Imported spans are left out.
select
    raw_videos.video_id,
    source,
    count(clip_id) as clips,
    coalesce(any_value(duration_seconds), max(end_seconds)) as seconds,
    avg(end_seconds - start_seconds) as mean_clip_seconds,
    min(end_seconds - start_seconds) as shortest_clip_seconds,
    max(end_seconds - start_seconds) as longest_clip_seconds
from raw_videos
left join clips on raw_videos.video_id = clips.video_id and clips.annotation_id is null
group by raw_videos.video_id, source
order by clips desc, raw_videos.video_id
limit 50
