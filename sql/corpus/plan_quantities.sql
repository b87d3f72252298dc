-- Quantities in the lake that decide the work of models, and the amount of video that they came from.
-- video_bytes: size of the files of those videos. unsubtitled_videos: videos whose speech a model has to recognise.
with cut as (
    select video_id, max(end_seconds) as seconds
    from clips
    group by video_id
)

select
    (select count(*) from cut) as videos,
    (select coalesce(sum(seconds), 0) from cut) as video_seconds,
    (select coalesce(sum(size_bytes), 0)::bigint from raw_videos where video_id in (select video_id from cut)) as video_bytes,
    (select count(*) from clips) as clips,
    (select count(*) from frames where is_middle) as middle_frames,
    (select count(*) from frames where is_fine) as fine_frames,
    (select count(*) from clip_embeddings) as clip_vectors,
    (select count(*) from caption_embeddings) as caption_vectors,
    (
        select count(*)
        from cut
        where video_id not in (select video_id from speech where source like 'subtitles:%')
    ) as unsubtitled_videos,
    (select count(*) from transcripts where translator is not null) as translated_transcripts
