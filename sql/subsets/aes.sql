-- AES: clips that look good
-- The paper's InternVid-18M-AES: an aesthetic score of at least 4, on the scale of LAION's predictor. The model
-- measured-aesthetics has another scale, on which most clips reach 4: choose a threshold from its figure 4c.
-- @parameter score text aesthetics: which score of clip_scores decides
-- @parameter threshold double 4: the score that a clip must reach
-- @parameter clips bigint null: how many clips are drawn, each with the same chance; null: all that are kept
-- @parameter seed bigint 42: of the draw
-- @reads clip_scores
-- @condition good_looking: $score is at least $threshold
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
