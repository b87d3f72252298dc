-- Units of fine-tuning: a checkpoint on a benchmark. Its inputs are the checkpoint's weights and the train split's videos.
select
    parameters.model as unit,
    parameters.model as partition,
    parameters.model as label,
    '' as variant,
    parameters.inputs,
    null as skip
from parameters
