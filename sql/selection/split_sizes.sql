-- Clips and videos of a subset on each side of the split. Reads drawn, split.
select split.split, count(*) as clips, count(distinct drawn.video_id) as videos
from drawn
inner join split on drawn.video_id = split.video_id
group by split.split
