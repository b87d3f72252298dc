-- What attempts says of the rows of a list since another run than this one read it.
select attempt_id
from attempts
where stage = $stage and starts_with(key, $prefix) and run_id is distinct from $run_id
