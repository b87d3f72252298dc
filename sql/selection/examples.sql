-- The clips $clip_ids with source, times and caption.
select clips.clip_id, raw_videos.source, clips.start_seconds, clips.end_seconds, clip_captions.caption
from clips
left join raw_videos on clips.video_id = raw_videos.video_id
left join clip_captions on clips.clip_id = clip_captions.clip_id
where clips.clip_id in (select unnest($clip_ids::varchar[]))
