-- No copies: of videos that show the same, the one that is kept
-- Which of two copies is kept, and why, says the table duplicates: the longer, then the one with more pixels, and so on.
-- A video goes where any pair keeps the other one. Files of equal bytes are one video in any case.
-- @parameter similarity double 0.5 (0 to 1): share of the shorter video's frames that the other must have as well
-- @parameter clips bigint null: how many clips are drawn, each with the same chance; null: all that are kept
-- @parameter seed bigint 42: of the draw
-- @reads duplicates
-- @condition no_copy: its video is no copy of one that is kept
with copies as (
    select
        case when kept = video_id then other_video_id else video_id end as video_id,
        kept,
        why_kept,
        duplicates.similarity
    from duplicates
    where duplicates.similarity >= $similarity
),

-- Of several, the one that is most like it.
told as (
    select
        video_id,
        arg_max(format('its video is a copy of {}, which is kept: {}', kept, why_kept), similarity) as reason,
        max(similarity) as similarity
    from copies
    group by video_id
)

select
    pool.clip_id,
    told.video_id is null as no_copy,
    1 as weight,
    coalesce(told.reason, 'no better copy of its video is here') as reason,
    told.similarity
from pool
left join told on pool.video_id = told.video_id
