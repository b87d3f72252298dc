-- Attempts that no longer tell anything: the input is done since, as well as it can be, or no longer there.
select attempts.attempt_id
from attempts
left join state on attempts.key = state.unit
where attempts.stage = $stage and (state.unit is null or (state.state = 'done' and attempts.outcome <> 'improvable'))
