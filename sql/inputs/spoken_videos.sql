-- The videos $video_ids with what is needed to read their subtitles or recognise their speech.
select
    raw_videos.video_id,
    raw_videos.path,
    raw_videos.source,
    coalesce(raw_videos.duration_seconds, 0) as seconds,
    raw_videos.size_bytes,
    raw_videos.audio_codec,
    list_concat(coalesce(sources.subtitles, []), coalesce(downloads.subtitles, [])) as subtitles
from raw_videos
left join sources using (source_id)
left join downloads using (source_id)
where raw_videos.video_id in (select unnest($video_ids))
