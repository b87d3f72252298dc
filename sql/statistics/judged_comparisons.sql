-- ---
-- title: Two captions of a clip, as people compared them without knowing who wrote which
-- description: >
--   Of each sample, over the latest judgement of a clip. share_b: of the clips that a caption was preferred of, those
--   where it was b, with the 95 % interval from low to high: where it holds 0.5, no difference was found. equal_share:
--   of all judged clips. first_share: of those with a preference, how often it was the caption that was shown first;
--   far from 0.5 it says that the order decided.
-- ---
-- Weights and interval are those of judged_precision.
with latest as (
    select sample, clip_id, verdict, model, other_model, shown_first
    from judgements
    where what = 'comparison' and sample is not null
    qualify row_number() over (partition by sample, clip_id order by written_at desc, judgement_id desc) = 1
),

weighted as (
    select
        latest.*,
        latest.verdict <> 'equal' as is_decided,
        (drawn.stratum_clips / count(*) over (partition by latest.sample, drawn.stratum))::decimal(18, 6) as weight
    from latest
    inner join review_samples as drawn on latest.sample = drawn.sample and latest.clip_id = drawn.clip_id
),

summed as (
    select
        sample,
        string_agg(distinct model, ', ' order by model) as model_a,
        string_agg(distinct other_model, ', ' order by other_model) as model_b,
        count(*) as judged,
        count(*) filter (where is_decided) as decided,
        sum(weight)::double as stood_for,
        coalesce(sum(weight) filter (where is_decided), 0)::double as stood_for_decided,
        coalesce(sum((weight::double * weight::double)::decimal(38, 6)) filter (where is_decided), 0)::double as squares,
        coalesce(sum(weight) filter (where verdict = 'b'), 0)::double / nullif(stood_for_decided, 0) as share_b,
        1 - stood_for_decided / stood_for as equal_share,
        (count(*) filter (where is_decided and verdict = shown_first)) / nullif(decided, 0) as first_share
    from weighted
    group by sample
),

with_size as (
    select
        *,
        case
            when judged < stood_for - 1e-3
                then stood_for_decided * stood_for_decided / nullif(squares, 0) / (1 - judged / stood_for)
        end as n,
        1.959963984540054 as z
    from summed
)

select
    sample,
    model_a,
    model_b,
    judged,
    share_b,
    coalesce(greatest((share_b + z * z / (2 * n) - z * sqrt(share_b * (1 - share_b) / n + z * z / (4 * n * n))) / (1 + z * z / n), 0), share_b) as low,
    coalesce(least((share_b + z * z / (2 * n) + z * sqrt(share_b * (1 - share_b) / n + z * z / (4 * n * n))) / (1 + z * z / n), 1), share_b) as high,
    equal_share,
    first_share
from with_size
order by sample desc
