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
),
speed as (
    select
        clip_id, pan_x, pan_y, zoom, moving_share,
        abs(pan_x::double) as pan, abs(pan_y::double) as tilt, (pow(2, abs(zoom::double)) - 1) / 2 as edge
    from clips
),
clip as (
    select
        clip_id,
        moving_share,
        case
            when coalesce(isnan(pan + tilt + edge), true) then 'not measured'
            when greatest(pan, tilt, edge) < 0.02 then 'still'
            when pan >= tilt and pan >= edge then if(pan_x > 0, 'pans right', 'pans left')
            when tilt >= edge then if(pan_y > 0, 'tilts down', 'tilts up')
            else if(zoom > 0, 'zooms in', 'zooms out')
        end as camera
    from speed
)
select
    position,
    camera,
    count(clip_id) as clips,
    count(clip_id) / nullif(sum(count(clip_id)) over (), 0) as share,
    avg(moving_share) filter (where not isnan(moving_share)) as mean_moving_share
from kind left join clip using (camera)
group by position, camera
order by position
