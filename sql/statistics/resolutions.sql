-- ---
-- title: Videos by resolution, as YouTube would name it
-- description: >
--   A video belongs to a class if it fills that class's 16:9 box in width or height, or its shorter side has the class's
--   height: an upright 720x1280 and a wide 1280x536 are both 720p. Sizes are after rotation and pixel aspect. The paper
--   has 85 % at 720p and the rest between 360p and 720p; it fetches nothing larger, so its 720p includes all larger
--   videos.
-- ---
with class (position, resolution, short_side, long_side, paper_share) as (
    values
        (1, '2160p or more', 2160, 3840, null::double),
        (2, '1440p', 1440, 2560, null),
        (3, '1080p', 1080, 1920, null),
        (4, '720p', 720, 1280, 0.85),
        (5, '480p', 480, 854, null),
        (6, '360p', 360, 640, null),
        (7, 'less than 360p', 0, 0, 0)
),
video as (
    select
        video_id,
        coalesce(display_width, width) as width,
        coalesce(display_height, height) as height
    from raw_videos
),
classed as (
    select
        video_id,
        (
            select min(class.position) from class
            where least(width, height) >= short_side or greatest(width, height) >= long_side
        ) as position
    from video
)
select
    class.position,
    resolution,
    count(video_id) as videos,
    count(video_id) / nullif(sum(count(video_id)) over (), 0) as share,
    any_value(paper_share) as paper_share
from class left join classed using (position)
group by class.position, resolution
order by class.position
