-- ---
-- title: "How much clips move: mean change of luma per second"
-- description: >
--   1 would be black to white everywhere within a second. A bucket holds its lower bound and not its upper one. A clip
--   without the measurement, null or NaN, is in no bucket.
-- ---
with bucket (position, bucket, from_motion, to_motion) as (
    values
        (1, '<0.01', 0, 0.01),
        (2, '0.01–0.03', 0.01, 0.03),
        (3, '0.03–0.1', 0.03, 0.1),
        (4, '0.1–0.3', 0.1, 0.3),
        (5, '0.3–1', 0.3, 1),
        (6, '>1', 1, 'infinity'::double)
)
select
    position,
    bucket,
    count(clip_id) as clips,
    count(clip_id) / nullif(sum(count(clip_id)) over (), 0) as share,
    avg(stillness) as mean_stillness
from bucket left join clips on motion >= from_motion and motion < to_motion
group by position, bucket
order by position
