-- Failures of the stage $stage and of the class $error, where these are given: those that are to be tried again some time,
-- or, with $all, every one. What waits for a site that is left alone only where its class is named.
select *
from attempts
where
    (outcome = 'failed' or (outcome = 'waiting' and $error is not null))
    and ($stage is null or stage = $stage)
    and ($error is null or error_class = $error)
    and ($all or next_try_at is not null)
