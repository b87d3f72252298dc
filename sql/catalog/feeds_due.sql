-- Polls of feeds that are due at the time $now, at most $polls; of the plans $plans, null for all.
-- A feed is due if it was never polled, or not for every_hours, or by a clock that was set back since, which then was
-- more than an hour from now. Polls that failed or wait are not returned, since they
-- are retried by themselves; those whose time has come count towards $polls.
-- The plans take turns. In a plan the feeds with the fewest polls come first, then those of lower number: so a plan
-- that is longer than a day's polls reaches its end before it starts again.
with polled as (
    select feed_id, max(number) as polls, arg_max(polled_at, number) as polled_at
    from feed_polls
    group by feed_id
),

next_polls as (
    select
        feeds.feed_id || '/' || (coalesce(polled.polls, 0) + 1) as poll_id,
        feeds.plan,
        feeds.number,
        coalesce(polled.polls, 0) as polls,
        polled.polls is null
        or polled.polled_at + to_seconds(feeds.every_hours * 3600) <= $now
        or (feeds.every_hours is not null and polled.polled_at > $now + interval 1 hour) as is_due
    from feeds
    left join polled on feeds.feed_id = polled.feed_id
    where feeds.refused is null and ($plans is null or list_contains($plans, feeds.plan))
),

begun as (
    select
        attempts.key as poll_id,
        coalesce(attempts.next_try_at <= $now or attempts.written_at > $now + interval 1 hour, false)
            as is_retried_now
    from attempts
    inner join next_polls on attempts.key = next_polls.poll_id
    where attempts.stage = 'feed_polls'
),

in_turn as (
    select
        poll_id,
        plan,
        row_number() over (partition by plan order by polls, number, poll_id) as turn
    from next_polls
    anti join begun using (poll_id)
    where is_due
)

select poll_id, plan
from in_turn
order by turn, plan
limit greatest($polls - (select count(*) from begun where is_retried_now), 0)
