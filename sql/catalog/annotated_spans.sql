-- Imported spans of the videos $video_ids, in order of time.
select
    raw_videos.video_id,
    annotations.annotation_id,
    annotations.dataset,
    annotations.start_seconds,
    annotations.end_seconds
from annotations
inner join raw_videos using (source_id)
where raw_videos.video_id in (select unnest($video_ids))
order by raw_videos.video_id, annotations.start_seconds, annotations.end_seconds, annotations.annotation_id
