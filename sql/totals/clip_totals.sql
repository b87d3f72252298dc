-- ---
-- title: Clips by what was measured of them
-- description: >
--   duration: bucket of Figure 4a; movement: bucket of the mean change of luma per second; both null outside of all
--   buckets. camera: the largest of pan, tilt and zoom, compared as the picture's edge moves: a zoom of z (log2 a second)
--   moves it by (2^|z| - 1) / 2 of its width. Below 0.02 of the picture a second the camera counts as still.
-- ---
with measured as (
    select
        annotation_id is not null as is_imported,
        boundary,
        coalesce(flags, []) as flags,
        end_seconds - start_seconds as seconds,
        motion,
        cut_score,
        stillness,
        moving_share,
        pan_x,
        pan_y,
        zoom,
        abs(pan_x::double) as pan,
        abs(pan_y::double) as tilt,
        (pow(2, abs(zoom::double)) - 1) / 2 as edge
    from clips
)

select
    is_imported,
    boundary,
    flags,
    case
        when not (seconds >= 0 and seconds < 'infinity'::double) then null
        when seconds < 2 then '0–2 s'
        when seconds < 4 then '2–4 s'
        when seconds < 10 then '4–10 s'
        when seconds < 20 then '10–20 s'
        when seconds >= 20 then '>20 s'
    end as duration,
    case
        when not (motion >= 0 and motion < 'infinity'::float) then null
        when motion < 0.01 then '<0.01'
        when motion < 0.03 then '0.01–0.03'
        when motion < 0.1 then '0.03–0.1'
        when motion < 0.3 then '0.1–0.3'
        when motion < 1 then '0.3–1'
        when motion >= 1 then '>1'
    end as movement,
    case
        when coalesce(isnan(pan + tilt + edge), true) then 'not measured'
        when greatest(pan, tilt, edge) < 0.02 then 'still'
        when pan >= tilt and pan >= edge then if(pan_x > 0, 'pans right', 'pans left')
        when tilt >= edge then if(pan_y > 0, 'tilts down', 'tilts up')
        else if(zoom > 0, 'zooms in', 'zooms out')
    end as camera,
    count(*) as total_rows,
    sum(try_cast(round(seconds * 1_000_000) as bigint)) as total_microseconds,
    count(try_cast(cut_score as bigint)) as total_cut_scores,
    sum(try_cast(round(cut_score::double * 1_000_000) as bigint)) as total_cut_score_millionths,
    count(try_cast(stillness as bigint)) as total_stillnesses,
    sum(try_cast(round(stillness::double * 1_000_000) as bigint)) as total_stillness_millionths,
    count(try_cast(moving_share as bigint)) as total_moving_shares,
    sum(try_cast(round(moving_share::double * 1_000_000) as bigint)) as total_moving_share_millionths
from measured
group by all
