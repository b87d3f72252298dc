-- ---
-- title: Query
-- description: The words of the search that found the video.
-- place: 5
-- ---
select numbered.number, sources.query_words as value
from numbered
inner join raw_videos using (video_id)
inner join sources using (source_id)
where sources.query_words is not null
