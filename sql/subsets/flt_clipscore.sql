-- FLT as its makers describe it: clips of fitting length and caption, then drawn as DIV is
-- In this order: clips under 1 s or over 120 s go; of the others, the 30 % with the highest score stay; from these, a
-- clip's chance is one over the number of them in its video. Its makers scored one random frame of each clip with CLIP
-- ViT-L/14 (CLIPScore): that is frame_text_similarity, which decides where the pool has it. A pool without any such
-- score is judged by video_text_similarity.
-- Clips without a score count neither as kept nor towards the share. Ties at the limit are all kept.
-- @parameter score text null: which score of clip_scores decides; null: as above
-- @parameter share double 0.3 (0 to 1): of the scored clips of fitting length, how many are kept, from the highest down
-- @parameter threshold double null: keep scores of at least this, in place of the share
-- @parameter shortest double 1 (0 to inf): seconds that a clip must last
-- @parameter longest double 120 (0 to inf): seconds that a clip may last
-- @parameter clips bigint null: how many clips are drawn; null: all that are kept
-- @parameter seed bigint 42: of the draw
-- @reads clip_scores
-- @condition long_enough: lasts at least $shortest s
-- @condition short_enough: lasts at most $longest s
-- @condition similar_enough: the score at least $threshold; if null, among the highest $share
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
        pool.seconds >= $shortest as long_enough,
        pool.seconds <= $longest as short_enough,
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
