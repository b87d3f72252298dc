-- What is kept of the stages $stages.
select *
from batch_states
where list_contains($stages, stage)
