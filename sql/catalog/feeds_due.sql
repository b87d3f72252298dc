-- PollConfig at feeds that are due at the time $now, at most $polls of them; of the plans $plans, null for all.
-- Due is a feed that was never polled at, or not for its every_hours. PollConfig that failed or wait are not among them: those
-- are tried again by themselves when their time has come, and count: they are taken off $polls.
-- The plans take turns. Of a plan those feeds come first that were polled at least often, then those of lower number: so
-- a plan that is longer than a day's polls is gone through to its end before it begins anew.
with polled as (
    select feed_id, max(number) as polls, max(polled_at) as polled_at
    from feed_polls
    group by feed_id
),

next_looks as (
    select
        feeds.feed_id || '/' || (coalesce(polled.polls, 0) + 1) as poll_id,
        feeds.plan,
        feeds.number,
        coalesce(polled.polls, 0) as polls,
        polled.polls is null or polled.polled_at + to_seconds(feeds.every_hours * 3600) <= $now as is_due
    from feeds
    left join polled on feeds.feed_id = polled.feed_id
    where feeds.refused is null and ($plans is null or list_contains($plans, feeds.plan))
),

begun as (
    select
        attempts.key as poll_id,
        coalesce(attempts.next_try_at <= $now, false) as is_tried_now
    from attempts
    inner join next_looks on attempts.key = next_looks.poll_id
    where attempts.stage = 'feed_polls'
),

in_turn as (
    select
        poll_id,
        plan,
        row_number() over (partition by plan order by polls, number, poll_id) as turn
    from next_looks
    anti join begun using (poll_id)
    where is_due
)

select poll_id, plan
from in_turn
order by turn, plan
limit greatest($polls - (select count(*) from begun where is_tried_now), 0)
