-- File and span of each indexed clip, in the order of the index. Reads indexed (position, clip_id).
select
    raw_videos.path,
    clips.start_seconds,
    clips.end_seconds,
    greatest(clips.end_frame - clips.start_frame, 1)::integer as frame_count
from indexed
inner join clips using (clip_id)
inner join raw_videos on clips.video_id = raw_videos.video_id
order by indexed.position
