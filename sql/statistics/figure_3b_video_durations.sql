-- ---
-- title: Video durations in the paper's buckets (Figure 3b)
-- description: >
--   A bucket holds its lower bound and not its upper one. A video counts with what was
--   decoded of it; where nothing is known it is in no bucket (table_1.videos_of_unknown_duration counts those).
--   paper_share: the paper states three shares; which bucket has which of the other two is not known.
-- ---
with bucket (position, bucket, paper_share) as (
    values
        (1, '<5 min', 0.49),
        (2, '5–10 min', 0.26),
        (3, '10–15 min', null),
        (4, '15–20 min', null),
        (5, '>20 min', 0.08)
)

select
    position,
    bucket,
    coalesce(sum(total_rows), 0)::bigint as videos,
    coalesce(sum(total_rows), 0) / nullif(sum(sum(total_rows)) over (), 0) as share,
    coalesce(sum(total_microseconds), 0) / 3.6e9 as hours,
    any_value(paper_share)::double as paper_share
from bucket
left join video_totals on bucket = duration
group by position, bucket
order by position
