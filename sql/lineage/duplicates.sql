-- Copies of a video: the copy's id, in what it is equal, and which video is kept. Reads: $video_id.
select
    case when duplicates.video_id = $video_id then other_video_id else duplicates.video_id end as copy_id,
    raw_videos.source as copy_source,
    duplicates.kind,
    duplicates.similarity,
    case when duplicates.video_id = $video_id then offset_seconds else -offset_seconds * speed end as offset_seconds,
    duplicates.kept,
    duplicates.why_kept
from duplicates
left join raw_videos
    on raw_videos.video_id = case when duplicates.video_id = $video_id then other_video_id else duplicates.video_id end
where $video_id in (duplicates.video_id, duplicates.other_video_id)
order by similarity desc, copy_id
