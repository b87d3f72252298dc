-- Units of generation_checkpoints: a recipe on a subset. A unit depends on the content of the subset's clips, not on the
-- snapshot that they were selected from: a new snapshot that changes none of them starts no training.
with contents as (
    select subset, md5(string_agg(clip_id || '=' || content || '=' || split, ',' order by clip_id)) as inputs
    from subsets
    group by subset
)

select
    parameters.generator as unit,
    parameters.generator as partition,
    parameters.generator as label,
    '' as variant,
    coalesce(contents.inputs, '') as inputs,
    case when contents.inputs is null then 'its subset has no clip: materialise it first' end as skip
from parameters
left join contents on parameters.subset = contents.subset
