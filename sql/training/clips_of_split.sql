-- Clips of $subset in $split, with their weights, in order of clip_id.
select clip_id, weight
from subsets
where subset = $subset and split = $split
order by clip_id
