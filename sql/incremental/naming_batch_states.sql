-- Partitions of a stage with inputs that are duplicates of one of the rows $keys (hashes of keys), or of any if null.
-- Reads: stored (rows of batch_states), $stage, $keys.
select partition
from stored
where stage = $stage and len(related_keys) > 0 and ($keys is null or list_has_any(related_keys, $keys::varchar[]))
