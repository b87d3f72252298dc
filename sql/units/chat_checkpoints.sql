-- Units of chat_checkpoints: a recipe on a subset. A unit depends on the content of the subset's clips, on the dialogues
-- about them, and on the ViCLIP that sees; a new snapshot that changes none of them starts no training.
with contents as (
    select subset, md5(string_agg(clip_id || '=' || content || '=' || split, ',' order by clip_id)) as inputs
    from subsets
    group by subset
)

select
    parameters.chat as unit,
    parameters.chat as partition,
    parameters.chat as label,
    '' as variant,
    concat_ws(',', contents.inputs, parameters.content, parameters.vision) as inputs,
    case
        when contents.inputs is null then 'its subset has no clip: materialise it first'
        when parameters.vision is null then 'the lake has no active checkpoint: train a ViCLIP first'
        when parameters.content is null then 'there are no dialogues about its clips'
    end as skip
from parameters
left join contents on parameters.subset = contents.subset
