-- Counts of the lake in one row. hours: of clips without imported spans, which overlap the clips cut here.
select
    (select count(*) from raw_videos) as videos,
    (select count(*) from clips) as clips,
    (select count(*) from frames) as frames,
    (select count(*) from clip_captions) as captions,
    (select coalesce(sum(end_seconds - start_seconds), 0) / 3600 from clips where annotation_id is null) as hours,
    (select count(*) from attempts where outcome = 'failed') as failures
