-- ---
-- title: "FLT as its authors describe it: clips of fitting length and caption, then drawn as DIV is"
-- description: >
--   First clips under 1 s or over 120 s are removed. Of the others, the 30 % with the highest score are kept. The weight
--   of a kept clip is one over the number of kept clips of its video. The authors scored one random frame of each clip
--   with CLIP ViT-L/14 (CLIPScore): frame_text_similarity, which is used if the pool has it; otherwise
--   video_text_similarity. Clips without a score are not kept, and do not count towards the share. Ties at the limit
--   are all kept.
-- parameters:
--   score: {type: text, default: null, meaning: "which score of clip_scores decides; null: as above"}
--   share: {type: double, default: 0.3, min: 0, max: 1,
--     meaning: "of the scored clips of fitting length, how many are kept, from the highest down"}
--   threshold: {type: double, default: null, meaning: "keep scores of at least this, in place of the share"}
--   min_seconds: {type: double, default: 1, min: 0, meaning: seconds that a clip must last}
--   max_seconds: {type: double, default: 120, min: 0, meaning: seconds that a clip may last}
--   clips: {type: bigint, default: null, meaning: "how many clips are drawn; null: all that are kept"}
--   seed: {type: bigint, default: 42, meaning: of the draw}
-- conditions:
--   long_enough: lasts at least $min_seconds s
--   short_enough: lasts at most $max_seconds s
--   similar_enough: the score at least $threshold; if null, among the highest $share
-- reads: [clip_scores]
-- ---
with deciding as (
    select coalesce(
        $score,
        min(score) filter (score = 'frame_text_similarity'),
        'video_text_similarity'
    ) as score
    from clip_scores
    where value is not null
),

scored as (
    select
        pool.clip_id,
        pool.video_id,
        pool.seconds,
        pool.seconds >= $min_seconds as long_enough,
        pool.seconds <= $max_seconds as short_enough,
        nullif(clip_scores.value, 'nan') as similarity,
        case when long_enough and short_enough then similarity end as ranked,
        deciding.score,
        coalesce(clip_scores.reason, concat('no ', deciding.score, ' yet')) as why_no_score
    from pool
    cross join deciding
    left join clip_scores on pool.clip_id = clip_scores.clip_id and clip_scores.score = deciding.score
),

ranked as (
    select
        *,
        count(ranked) over () as ranked_clips,
        case when ranked is not null then rank() over (order by ranked desc nulls last) end as place
    from scored
),

judged as (
    select
        *,
        -- Rounded first: 0.07 * 100 is a little more than 7, and its ceiling would be 8.
        coalesce(similarity >= $threshold, place <= ceil(round($share * ranked_clips, 6))) as similar_enough,
        -- Not count(*) filter (…) over: in DuckDB its time grows with the square of the rows.
        count(case when long_enough and short_enough and similar_enough then 1 end)
            over (partition by video_id) as kept_clips_of_video
    from ranked
)

select
    clip_id,
    long_enough,
    short_enough,
    similar_enough,
    1 / nullif(kept_clips_of_video, 0) as weight,
    case
        when not (long_enough and short_enough) then format('lasts {:.2f} s', seconds)
        when place is null then why_no_score
        else format('{} {:.4f}, place {} of {}', score, similarity, place, ranked_clips)
    end as reason,
    seconds,
    similarity
from judged
