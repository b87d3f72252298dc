-- ---
-- title: Captions, cuts and safety of clips, as people judged them
-- description: >
--   Of each sample, over the latest judgement of a clip. what: caption, cut or safety; share is of those that are good
--   (safe), partly_share of captions that are partly right. low and high are the 95 % interval of share. model: who
--   wrote the caption, or cut the clip; null is of all together. clips_stood_for: clips of the strata of which some
--   were judged, as many as when the sample was drawn; population_share is their share of all clips that it was drawn
--   from.
-- ---
-- A judged clip stands for the clips of its stratum, divided by those of them that were judged. The interval is Wilson's
-- (1927) with the effective number of judgements of weighted data, sum(w)^2 / sum(w^2) (Kish 1965), divided by the share
-- of the clips that were not judged: who judges all clips knows the share. Decimals: a sum of doubles depends on the
-- order that threads add them in.
with latest as (
    select sample, what, clip_id, verdict, coalesce(model, 'unknown') as model
    from judgements
    where what in ('caption', 'cut', 'safety') and sample is not null
    qualify row_number() over (partition by sample, what, clip_id order by written_at desc, judgement_id desc) = 1
),

weighted as (
    select
        latest.sample,
        latest.what,
        latest.model,
        latest.verdict in ('good', 'safe') as is_good,
        latest.verdict = 'partly' as is_partly,
        drawn.population_clips,
        (drawn.stratum_clips / count(*) over (partition by latest.sample, latest.what, drawn.stratum))::decimal(18, 6) as weight
    from latest
    inner join review_samples as drawn on latest.sample = drawn.sample and latest.clip_id = drawn.clip_id
),

summed as (
    select
        what,
        case when grouping(model) = 0 then model end as model,
        sample,
        count(*) as judged,
        sum(weight)::double as stood_for,
        sum((weight::double * weight::double)::decimal(38, 6))::double as squares,
        coalesce(sum(weight) filter (where is_good), 0)::double / stood_for as share,
        coalesce(sum(weight) filter (where is_partly), 0)::double / stood_for as partly_share,
        max(population_clips) as population_clips
    from weighted
    group by grouping sets ((what, sample), (what, sample, model))
    having grouping(model) = 1 or what <> 'safety'
),

-- 1e-3: weights are rounded, and may add up to a little less than the clips.
with_size as (
    select
        *,
        case when judged < stood_for - 1e-3 then stood_for * stood_for / squares / (1 - judged / stood_for) end as n,
        1.959963984540054 as z
    from summed
)

select
    what,
    model,
    sample,
    judged,
    share,
    coalesce(greatest((share + z * z / (2 * n) - z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n), 0), share) as low,
    coalesce(least((share + z * z / (2 * n) + z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n), 1), share) as high,
    case when what = 'caption' then partly_share end as partly_share,
    round(stood_for)::bigint as clips_stood_for,
    stood_for / nullif(population_clips, 0) as population_share
from with_size
order by sample desc, what, model nulls first
