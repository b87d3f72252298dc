-- What is kept of the stages $stages. Where two processes have just written the same row, it is there twice for a moment.
select *
from batch_states
where list_contains($stages, stage)
qualify row_number() over (partition by batch_state_id order by written_at) = 1
