-- FLT as the paper has it: drawn as DIV is, from the clips whose captions fit them best
-- A clip's chance is DIV's, over the whole pool; it is passed over unless its score is among the highest 30 %.
-- Clips without a score count neither as kept nor towards the share. Ties at the limit are all kept.
-- @parameter score text video_text_similarity: which score of clip_scores decides
-- @parameter share double 0.3 (0 to 1): of the scored clips, how many are kept, from the highest score down
-- @parameter threshold double null: keep scores of at least this, in place of the share
-- @parameter clips bigint null: how many clips are drawn; null: all that are kept
-- @parameter seed bigint 42: of the draw
-- @reads clip_scores
-- @condition similar_enough: $score at least $threshold; if null, among the highest $share
with scored as (
    select
        pool.clip_id,
        nullif(clip_scores.value, 'nan') as similarity,
        coalesce(clip_scores.reason, concat('no ', $score, ' yet')) as why_no_score,
        count(*) over (partition by pool.video_id) as clips_of_video
    from pool
    left join clip_scores on pool.clip_id = clip_scores.clip_id and clip_scores.score = $score
),

ranked as (
    select
        *,
        count(similarity) over () as scored_clips,
        case when similarity is not null then rank() over (order by similarity desc nulls last) end as place
    from scored
)

select
    clip_id,
    -- Rounded first: 0.07 * 100 is a little more than 7, and its ceiling would be 8.
    coalesce(similarity >= $threshold, place <= ceil(round($share * scored_clips, 6))) as similar_enough,
    1 / clips_of_video as weight,
    case
        when place is null then why_no_score
        else format('{} {:.4f}, place {} of {}', $score, similarity, place, scored_clips)
    end as reason,
    similarity,
    clips_of_video
from ranked
