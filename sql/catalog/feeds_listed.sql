-- The feeds, plan by plan, with state, number of polls, last poll, entries, and next poll.
-- why: the reason if a feed is refused, failed or waits. $plan, $state: only these feeds; null for all.
with polled as (
    select
        feed_id,
        max(number) as polls,
        max(polled_at) as last_poll_at,
        sum(entries)::bigint as entries,
        sum(new)::bigint as new
    from feed_polls
    group by feed_id
),

joined as (
    select
        feeds.*,
        coalesce(polled.polls, 0) as polls,
        polled.last_poll_at,
        coalesce(polled.entries, 0) as entries,
        coalesce(polled.new, 0) as new,
        attempts.outcome,
        attempts.error_class,
        attempts.message,
        attempts.next_try_at
    from feeds
    left join polled on feeds.feed_id = polled.feed_id
    left join attempts
        on attempts.stage = 'feed_polls'
        and attempts.key = feeds.feed_id || '/' || (coalesce(polled.polls, 0) + 1)
    where $plan is null or feeds.plan = $plan
)

select
    plan,
    address,
    case
        when refused is not null then 'refused'
        when outcome in ('failed', 'waiting') then outcome
        when polls > 0 and every_hours is null then 'done'
        else 'active'
    end as state,
    polls,
    last_poll_at,
    entries,
    new,
    case
        when refused is not null then null
        when outcome in ('failed', 'waiting') then next_try_at
        when polls = 0 then added_at
        else last_poll_at + to_seconds(every_hours * 3600)
    end as next_poll_at,
    case
        when refused is not null then refused
        when outcome in ('failed', 'waiting') then error_class || ': ' || message
    end as why
from joined
where $state is null or state = $state
order by plan, number, address
