-- ---
-- title: "Why clips begin: the kinds of cut"
-- description: >
--   mean_cut_score is the detector's score, in its own unit; start and split have none. Imported spans are left out.
-- ---
with known (position, boundary) as (
    values (1, 'start'), (2, 'cut'), (3, 'fade'), (4, 'dissolve'), (5, 'split')
)
select
    boundary,
    count(clip_id) as clips,
    count(clip_id) / nullif((select count(*) from clips where annotation_id is null), 0) as share,
    avg(cut_score) filter (where boundary not in ('start', 'split')) as mean_cut_score
from known
full join (
    select clip_id, boundary, cut_score from clips where boundary is not null and annotation_id is null
) as clip using (boundary)
group by boundary
order by coalesce(min(position), 99), boundary
