-- ---
-- title: Source
-- description: The site that the video is from, or files.
-- place: 4
-- ---
select numbered.number, coalesce(sources.site, 'files') as value
from numbered
inner join raw_videos using (video_id)
inner join sources using (source_id)
