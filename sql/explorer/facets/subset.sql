-- ---
-- title: Subset
-- description: That holds the clip, as the subset was last selected.
-- place: 1
-- ---
select numbered.number, subsets.subset as value
from numbered
inner join subsets using (clip_id)
