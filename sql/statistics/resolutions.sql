-- ---
-- title: Videos by resolution, as YouTube would name it
-- description: >
--   A video belongs to a class if it fills that class's 16:9 box in width or height, or its shorter side has the class's
--   height: an upright 720x1280 and a wide 1280x536 are both 720p. Sizes are after rotation and pixel aspect. The paper
--   has 85 % at 720p and the rest between 360p and 720p; it fetches nothing larger, so its 720p includes all larger
--   videos.
-- ---
with class (position, resolution, paper_share) as (
    values
        (1, '2160p or more', null::double),
        (2, '1440p', null),
        (3, '1080p', null),
        (4, '720p', 0.85),
        (5, '480p', null),
        (6, '360p', null),
        (7, 'less than 360p', 0)
)

select
    position,
    resolution,
    coalesce(sum(total_rows), 0)::bigint as videos,
    coalesce(sum(total_rows), 0) / nullif(sum(sum(total_rows)) over (), 0) as share,
    any_value(paper_share) as paper_share
from class
left join video_totals using (resolution)
group by position, resolution
order by position
