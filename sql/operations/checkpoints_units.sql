-- What checkpoints works on: a recipe on a subset. It rests on what the subset's clips say, not on which snapshot they
-- were selected from: a new snapshot that changes none of them trains nothing anew.
with contents as (
    select subset, md5(string_agg(clip_id || '=' || content || '=' || split, ',' order by clip_id)) as inputs
    from subsets
    group by subset
)
select
    declared.model as unit,
    declared.model as partition,
    declared.model as label,
    '' as variant,
    coalesce(contents.inputs, '') as inputs,
    case when contents.inputs is null then 'its subset has no clip: materialise it first' end as skip
from declared
left join contents on declared.subset = contents.subset
