-- ---
-- title: "Why clips begin: the kinds of cut"
-- description: >
--   mean_cut_score is the detector's score, in its own unit; start and split have none. Imported spans are left out.
-- ---
with known (position, boundary) as (
    values (1, 'start'), (2, 'cut'), (3, 'fade'), (4, 'dissolve'), (5, 'split')
)
-- Grouped before the join: the kinds are few, the clips many.
select
    boundary,
    coalesce(clips, 0) as clips,
    coalesce(clips, 0) / nullif((select count(*) from clips where annotation_id is null), 0) as share,
    case when boundary not in ('start', 'split') then mean_cut_score end as mean_cut_score
from known
full join (
    select boundary, count(*) as clips, avg(cut_score) as mean_cut_score
    from clips
    where boundary is not null and annotation_id is null
    group by boundary
) as counted using (boundary)
order by coalesce(position, 99), boundary
