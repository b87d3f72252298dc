-- ---
-- title: "AES: clips that look good"
-- description: >
--   The paper's InternVid-18M-AES: an aesthetic score of at least 4, on the scale of LAION's predictor. The model
--   measured-aesthetics has another scale, on which most clips reach 4: choose a threshold from its figure 4c.
-- parameters:
--   score: {type: text, default: aesthetics, meaning: which score of clip_scores decides}
--   threshold: {type: double, default: 4, meaning: the score that a clip must reach}
--   clips: {type: bigint, default: null,
--     meaning: "how many clips are drawn, each with the same chance; null: all that are kept"}
--   seed: {type: bigint, default: 42, meaning: of the draw}
-- conditions:
--   good_looking: $score is at least $threshold
-- reads: [clip_scores]
-- ---
with scored as (
    select
        pool.clip_id,
        nullif(clip_scores.value, 'nan') as aesthetics,
        coalesce(clip_scores.reason, concat('no ', $score, ' yet')) as why_no_score
    from pool
    left join clip_scores on pool.clip_id = clip_scores.clip_id and clip_scores.score = $score
)

select
    clip_id,
    aesthetics >= $threshold as good_looking,
    1 as weight,
    coalesce(format('{} {:.4f}', $score, aesthetics), why_no_score) as reason,
    aesthetics
from scored
