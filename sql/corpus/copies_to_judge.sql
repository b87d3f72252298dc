-- Videos with the values that decide which of two copies is kept (resources/corpus/duplicates.py).
-- The duration comes from the clips: a truncated file still has the header of the complete one.
-- Reads: raw_videos and sources (the rows of these videos alone), clips (of their batches).
with measured as (
    select video_id, max(end_seconds) as seconds, max(decode_errors) as decode_errors
    from clips
    where annotation_id is null and video_id in (select video_id from raw_videos)
    group by video_id
)

select
    raw_videos.video_id,
    raw_videos.packets_digest,
    coalesce(measured.seconds, raw_videos.duration_seconds, 0) as seconds,
    raw_videos.display_width as width,
    raw_videos.display_height as height,
    raw_videos.size_bytes as bytes,
    coalesce(measured.decode_errors, 0) as decode_errors,
    sources.first_seen_at
from raw_videos
left join measured using (video_id)
left join sources using (source_id)
