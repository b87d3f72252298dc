-- ---
-- title: "No copies: of videos with the same content, only the best"
-- description: >
--   The table duplicates says which video of a pair is kept, and why: the longer, then the one with more pixels, and so
--   on. A video is left out if any of its pairs keeps the other video. Files of equal bytes are one video in any case.
-- parameters:
--   similarity: {type: double, default: 0.5, min: 0, max: 1,
--     meaning: "share of the shorter video's frames that the longer video must have as well"}
--   clips: {type: bigint, default: null,
--     meaning: "how many clips are drawn, each with the same chance; null: all that are kept"}
--   seed: {type: bigint, default: 42, meaning: of the draw}
-- conditions:
--   no_copy: its video is no copy of one that is kept
-- reads: [duplicates]
-- ---
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
