-- ---
-- title: Clip durations in the paper's buckets (Figure 4a)
-- description: >
--   A bucket holds its lower bound and not its upper one. The paper prints 36, 26, 23, 8 and 7 % without saying which
--   is which; its text gives 85 % up to 10 s. So paper_share is null, and paper_share_up_to_here has the certain values.
--   Imported spans are left out, because they were not cut here.
-- ---
with bucket (position, bucket, paper_share, paper_share_up_to_here) as (
    values
        (1, '0–2 s', null::double, null::double),
        (2, '2–4 s', null, null),
        (3, '4–10 s', null, 0.85),
        (4, '10–20 s', null, null),
        (5, '>20 s', null, 1)
),

counted as (
    select position, bucket, paper_share, paper_share_up_to_here, coalesce(sum(total_rows), 0)::bigint as clips
    from bucket
    left join clip_totals on bucket = duration and not is_imported
    group by all
)

select
    position,
    bucket,
    clips,
    clips / nullif(sum(clips) over (), 0) as share,
    sum(clips) over (order by position) / nullif(sum(clips) over (), 0) as share_up_to_here,
    paper_share,
    paper_share_up_to_here
from counted
order by position
