-- Counts clips with neither caption nor attempt, captions without a clip, and duplicate captions.
with tried as (select key from attempts where stage = 'clip_captions')

select
    (
        select count(*)
        from clips
        where clip_id not in (select clip_id from clip_captions) and clip_id not in (select key from tried)
    ) as clips_without_caption,
    (select count(*) from clip_captions where clip_id not in (select clip_id from clips)) as captions_without_clip,
    (select count(*) - count(distinct clip_id) from clip_captions) as captions_doubled
