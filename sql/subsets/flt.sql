-- ---
-- title: "FLT as the paper has it: drawn as DIV is, from the clips whose captions fit them best"
-- description: >
--   A clip's weight is as in DIV, over the complete pool; only clips whose score is among the highest 30 % are drawn.
--   Clips without a score are not kept, and do not count towards the share. Ties at the limit are all kept.
-- parameters:
--   score: {type: text, default: video_text_similarity, meaning: which score of clip_scores decides}
--   share: {type: double, default: 0.3, min: 0, max: 1,
--     meaning: "of the scored clips, how many are kept, from the highest score down"}
--   threshold: {type: double, default: null, meaning: "keep scores of at least this, in place of the share"}
--   clips: {type: bigint, default: null, meaning: "how many clips are drawn; null: all that are kept"}
--   seed: {type: bigint, default: 42, meaning: of the draw}
-- conditions:
--   similar_enough: $score at least $threshold; if null, among the highest $share
-- reads: [clip_scores]
-- ---
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
