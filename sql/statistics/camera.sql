-- ---
-- title: "What the camera does: the largest of pan, tilt and zoom in each clip"
-- description: >
--   Speeds are compared as the picture's edge moves: a zoom of z (log2 a second) moves it by (2^|z| - 1) / 2 of its
--   width. Below 0.02 of the picture a second the camera counts as still. "not measured": a clip without these
--   measurements.
-- ---
with kind (position, camera) as (
    values
        (1, 'still'), (2, 'pans left'), (3, 'pans right'), (4, 'tilts up'), (5, 'tilts down'),
        (6, 'zooms in'), (7, 'zooms out'), (8, 'not measured')
)

select
    position,
    camera,
    coalesce(sum(total_rows), 0)::bigint as clips,
    coalesce(sum(total_rows), 0) / nullif(sum(sum(total_rows)) over (), 0) as share,
    sum(total_moving_share_millionths) / 1e6 / nullif(sum(total_moving_shares), 0) as mean_moving_share
from kind
left join clip_totals using (camera)
group by position, camera
order by position
