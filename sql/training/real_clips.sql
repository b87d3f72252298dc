-- Up to $limit clips of $subset, drawn by a hash of their ids: the same ones each time.
select clip_id
from subsets
where subset = $subset
order by md5(clip_id)
limit $limit
