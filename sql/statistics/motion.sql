-- ---
-- title: "How much clips move: mean change of luma per second"
-- description: >
--   1 would be black to white everywhere within a second. A bucket holds its lower bound and not its upper one. A clip
--   without the measurement, null or NaN, is in no bucket.
-- ---
with bucket (position, bucket) as (
    values (1, '<0.01'), (2, '0.01–0.03'), (3, '0.03–0.1'), (4, '0.1–0.3'), (5, '0.3–1'), (6, '>1')
)

select
    position,
    bucket,
    coalesce(sum(total_rows), 0)::bigint as clips,
    coalesce(sum(total_rows), 0) / nullif(sum(sum(total_rows)) over (), 0) as share,
    sum(total_stillness_millionths) / 1e6 / nullif(sum(total_stillnesses), 0) as mean_stillness
from bucket
left join clip_totals on bucket = movement
group by position, bucket
order by position
