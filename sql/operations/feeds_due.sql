-- Looks at feeds that are due at the time $now, at most $looks of them; of the plans $plans, null for all.
-- Due is a feed that was never looked at, or not for its every_hours. Looks that failed or wait are not among them: those
-- are tried again by themselves when their time has come, and count: they are taken off $looks.
-- The plans take turns. Of a plan those feeds come first that were looked at least often, then those of lower number: so
-- a plan that is longer than a day's looks is gone through to its end before it begins anew.
with looked as (
    select feed_id, max(number) as looks, max(looked_at) as looked_at
    from feed_looks
    group by feed_id
),

next_looks as (
    select
        feeds.feed_id || '/' || (coalesce(looked.looks, 0) + 1) as look_id,
        feeds.plan,
        feeds.number,
        coalesce(looked.looks, 0) as looks,
        looked.looks is null or looked.looked_at + to_seconds(feeds.every_hours * 3600) <= $now as is_due
    from feeds
    left join looked on feeds.feed_id = looked.feed_id
    where feeds.refused is null and ($plans is null or list_contains($plans, feeds.plan))
),

begun as (
    select
        attempts.key as look_id,
        coalesce(attempts.next_try_at <= $now, false) as is_tried_now
    from attempts
    inner join next_looks on attempts.key = next_looks.look_id
    where attempts.stage = 'feed_looks'
),

in_turn as (
    select
        look_id,
        plan,
        row_number() over (partition by plan order by looks, number, look_id) as turn
    from next_looks
    anti join begun using (look_id)
    where is_due
)

select look_id, plan
from in_turn
order by turn, plan
limit greatest($looks - (select count(*) from begun where is_tried_now), 0)
