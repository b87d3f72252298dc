-- What evaluations works on: the newest checkpoint of a model, on each benchmark, resting on the benchmark's content.
with newest as (
    select model, checkpoint_id, weights_digest
    from checkpoints
    qualify row_number() over (partition by model order by written_at desc, checkpoint_id) = 1
)
select
    parameters.model || '/' || parameters.benchmark as unit,
    parameters.model as partition,
    parameters.benchmark as label,
    parameters.benchmark as variant,
    concat_ws(',', newest.checkpoint_id, newest.weights_digest, parameters.content) as inputs,
    case when newest.checkpoint_id is null then 'there is no checkpoint of this model yet' end as skip
from parameters
left join newest on parameters.model = newest.model
