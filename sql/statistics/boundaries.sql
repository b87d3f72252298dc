-- ---
-- title: "Why clips begin: the kinds of cut"
-- description: >
--   mean_cut_score is the detector's score, in its own unit; start and split have none. Imported spans are left out.
-- ---
with known (position, boundary) as (
    values (1, 'start'), (2, 'cut'), (3, 'fade'), (4, 'dissolve'), (5, 'split')
),

cut_here as (
    select * from clip_totals where not is_imported
)

select
    boundary,
    coalesce(clips, 0) as clips,
    coalesce(clips, 0) / nullif((select sum(total_rows) from cut_here), 0) as share,
    case when boundary not in ('start', 'split') then mean_cut_score end as mean_cut_score
from known
full join (
    select
        boundary,
        sum(total_rows)::bigint as clips,
        sum(total_cut_score_millionths) / 1e6 / sum(total_cut_scores) as mean_cut_score
    from cut_here
    where boundary is not null
    group by boundary
) as counted using (boundary)
order by coalesce(position, 99), boundary
