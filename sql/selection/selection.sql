-- The rows of a subset. Reads drawn, split.
select drawn.clip_id, drawn.video_id, split.split, drawn.weight, drawn.reason
from drawn
inner join split on drawn.video_id = split.video_id
order by drawn.clip_id
