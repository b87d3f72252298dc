-- Units of generated_videos: a prompt with a seed, for the newest checkpoint of a generator.
with newest as (
    select generator, checkpoint_id, weights_digest
    from generation_checkpoints
    qualify row_number() over (partition by generator order by written_at desc, checkpoint_id) = 1
)

select
    concat_ws('/', parameters.generator, parameters.seed, parameters.prompt) as unit,
    parameters.generator as partition,
    parameters.prompt as label,
    '' as variant,
    concat_ws(',', newest.checkpoint_id, newest.weights_digest) as inputs,
    case when newest.checkpoint_id is null then 'there is no checkpoint of this generator yet' end as skip
from parameters
left join newest on parameters.generator = newest.generator
