-- ---
-- title: Videos by duration, size of picture and format
-- description: >
--   duration: bucket of Figure 3b, null outside of all buckets. A video counts with what was decoded of it, the end of its
--   last clip, and until then with what the file holds, never with what its header says. resolution: null where the size is unknown; a video belongs to the first class whose 16:9
--   box it fills in width or height, or whose height its shorter side has; after rotation and pixel aspect.
-- ---
with last_cut as (
    select ingest_batch, video_id, max(end_seconds) as seconds
    from clips
    where annotation_id is null
    group by ingest_batch, video_id
),

video as (
    select
        coalesce(last_cut.seconds, raw_videos.duration_seconds) as seconds,
        least(coalesce(display_width, width), coalesce(display_height, height)) as short_side,
        greatest(coalesce(display_width, width), coalesce(display_height, height)) as long_side,
        raw_videos.video_codec,
        raw_videos.audio_codec,
        raw_videos.container,
        raw_videos.pixel_format
    from raw_videos
    left join last_cut using (ingest_batch, video_id)
)

select
    case
        when seconds < 0 then null
        when seconds < 300 then '<5 min'
        when seconds < 600 then '5–10 min'
        when seconds < 900 then '10–15 min'
        when seconds < 1200 then '15–20 min'
        when seconds < 'infinity'::double then '>20 min'
    end as duration,
    case
        when short_side >= 2160 or long_side >= 3840 then '2160p or more'
        when short_side >= 1440 or long_side >= 2560 then '1440p'
        when short_side >= 1080 or long_side >= 1920 then '1080p'
        when short_side >= 720 or long_side >= 1280 then '720p'
        when short_side >= 480 or long_side >= 854 then '480p'
        when short_side >= 360 or long_side >= 640 then '360p'
        when short_side >= 0 then 'less than 360p'
    end as resolution,
    video_codec,
    audio_codec,
    container,
    pixel_format,
    count(*) as total_rows,
    count(seconds) as total_of_known_duration,
    sum(try_cast(round(seconds * 1_000_000) as bigint)) as total_microseconds
from video
group by all
