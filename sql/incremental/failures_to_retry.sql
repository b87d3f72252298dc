-- Failures of the stage $stage and of the class $error, where these are given: those with a next try, or with $all all of
-- them. Inputs that wait for a site in a cooldown are included only where their class is named.
select *
from attempts
where
    (outcome in ('failed', 'improvable') or (outcome = 'waiting' and $error is not null))
    and ($stage is null or stage = $stage)
    and ($error is null or error_class = $error)
    and ($all or next_try_at is not null)
