-- File, span and caption of each clip of $clip_ids, in order of a hash of their ids.
select clips.clip_id, raw_videos.path, clips.start_seconds, clips.end_seconds, clip_captions.caption
from clips
inner join raw_videos on clips.video_id = raw_videos.video_id
left join clip_captions on clips.clip_id = clip_captions.clip_id
where list_contains($clip_ids::varchar[], clips.clip_id)
order by md5(clips.clip_id)
