-- Captions of a batch by kind (coarse, fine and clip of frames; summary of clips): their number, and the shares that
-- are empty (failures for that reason included), truncated, and equal to the most common caption of several videos.
-- Reads the rows of the batch only.
with caption as (
    select scale as kind, video_id, caption, status from frame_captions
    union all
    select 'summary' as kind, video_id, caption, status
    from clip_captions
    where not starts_with(coalesce(version, ''), 'imported+')  -- imported captions say nothing about a model
),

-- A model's empty answer makes no row. The unit of a frame ends with its scale; that of a summary is the clip.
refused as (
    select case stage when 'clip_captions' then 'summary' else split_part(key, '/', -1) end as kind, count(*) as empty
    from attempts
    where stage in ('frame_captions', 'clip_captions') and error_class = 'EmptyAnswer'
    group by kind
),

counted as (
    select
        kind,
        count(*) as captions,
        count(*) filter (caption is null or trim(caption) = '') as empty,
        count(*) filter (status = 'truncated') as truncated
    from caption
    group by kind
),

-- Clips of one video may look the same, and then have equal captions: only captions of several videos count.
repeated as (
    select kind, max(captions) as repeated, arg_max(caption, captions) as commonest
    from (
        select kind, caption, count(*) as captions
        from caption
        where trim(caption) <> ''
        group by kind, caption
        having count(distinct video_id) > 1
    )
    group by kind
)

select
    kind,
    coalesce(counted.captions, 0) + coalesce(refused.empty, 0) as captions,
    (coalesce(counted.empty, 0) + coalesce(refused.empty, 0)) / (coalesce(counted.captions, 0) + coalesce(refused.empty, 0)) as share_empty,
    coalesce(counted.truncated / counted.captions, 0) as share_truncated,
    coalesce(repeated.repeated / counted.captions, 0) as share_repeated,
    repeated.commonest
from counted
full join refused using (kind)
left join repeated using (kind)
order by kind
