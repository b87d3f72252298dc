-- Reads: stored (rows of batch_states), $stage.
select partition
from stored
where stage = $stage and partition is not null
