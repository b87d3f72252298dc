-- What speech works on: every stored video, with the subtitle files beside its source or downloaded with it. A file that is added or changed
-- later is read then; the video itself is neither hashed nor cut again.
select
    raw_videos.video_id as unit,
    raw_videos.ingest_batch as partition,
    raw_videos.source as label,
    '' as variant,
    concat_ws(',', raw_videos.sha256, sources.subtitles_seen, array_to_string(downloads.subtitles, ',')) as inputs,
    null::varchar as skip
from raw_videos
left join sources using (source_id)
left join downloads using (source_id)
