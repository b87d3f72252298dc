-- Clips and their captions by key: how many clips have neither caption nor attempt, how many captions have no clip.
with tried as (select key from attempts where stage = 'clip_captions')

select
    (
        select count(*)
        from clips
        where clip_id not in (select clip_id from clip_captions) and clip_id not in (select key from tried)
    ) as clips_without_caption,
    (select count(*) from clip_captions where clip_id not in (select clip_id from clips)) as captions_without_clip,
    (select count(*) - count(distinct clip_id) from clip_captions) as captions_doubled
