-- The clips of the population, each with its stratum, in words.
-- Reads population (clip_id, video_id, model); $strata_by: list of what strata differ in; $score: the score that they
-- differ in; $thirds: its values at a third and two thirds of the clips; null without scores.
select
    population.clip_id,
    population.video_id,
    coalesce(
        nullif(
            concat_ws(
                ' · ',
                case when list_contains($strata_by, 'category') then coalesce(downloads.categories[1], 'no category') end,
                case
                    when not list_contains($strata_by, 'duration') then null
                    when clips.end_seconds - clips.start_seconds < 2 then '0–2 s'
                    when clips.end_seconds - clips.start_seconds < 4 then '2–4 s'
                    when clips.end_seconds - clips.start_seconds < 10 then '4–10 s'
                    when clips.end_seconds - clips.start_seconds < 20 then '10–20 s'
                    else '>20 s'
                end,
                case
                    when not list_contains($strata_by, 'score') then null
                    when clip_scores.value is null or isnan(clip_scores.value) then concat('no ', $score)
                    when clip_scores.value < ($thirds)[1] then concat($score, ' low')
                    when clip_scores.value < ($thirds)[2] then concat($score, ' middle')
                    else concat($score, ' high')
                end,
                case when list_contains($strata_by, 'model') then coalesce(population.model, 'unknown') end
            ),
            ''
        ),
        'all'
    ) as stratum
from population
inner join clips on population.clip_id = clips.clip_id
left join raw_videos on population.video_id = raw_videos.video_id
left join downloads on raw_videos.source_id = downloads.source_id
left join clip_scores on population.clip_id = clip_scores.clip_id and clip_scores.score = $score
