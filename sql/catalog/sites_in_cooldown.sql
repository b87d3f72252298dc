-- Sites in cooldown at the time $now: the end of the cooldown, its reason, and how many inputs wait for the site.
-- None is in one by a clock that was set back since, as in incremental/state.sql.
select
    related_key as site,
    max(next_try_at) as until,
    arg_max(error_class, next_try_at) as reason_class,
    arg_max(message, next_try_at) as reason,
    count(*) as inputs
from attempts
where outcome = 'waiting' and next_try_at > $now and not coalesce(written_at > $now + interval 1 hour, false)
group by related_key
order by related_key
