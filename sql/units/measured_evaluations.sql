-- Units of `internvid evaluate`: a checkpoint on a split of a benchmark, by a protocol. Its inputs are the checkpoint's
-- weights and the benchmark's content.
select
    parameters.unit,
    parameters.checkpoint_id as partition,
    parameters.unit as label,
    '' as variant,
    parameters.inputs,
    null as skip
from parameters
