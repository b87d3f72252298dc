-- The feeds, plan by plan, with how they stand: state, looks so far, the last one, what they have found, and when the next
-- one is due. why: of a feed that is refused, that failed or that waits. $plan, $state: only those; null for all.
with looked as (
    select
        feed_id,
        max(number) as looks,
        max(looked_at) as last_look_at,
        sum(found)::bigint as found,
        sum(new)::bigint as new
    from feed_looks
    group by feed_id
),

told as (
    select
        feeds.*,
        coalesce(looked.looks, 0) as looks,
        looked.last_look_at,
        coalesce(looked.found, 0) as found,
        coalesce(looked.new, 0) as new,
        attempts.outcome,
        attempts.error_class,
        attempts.message,
        attempts.next_try_at
    from feeds
    left join looked on feeds.feed_id = looked.feed_id
    left join attempts
        on attempts.stage = 'feed_looks'
        and attempts.key = feeds.feed_id || '/' || (coalesce(looked.looks, 0) + 1)
    where $plan is null or feeds.plan = $plan
)

select
    plan,
    address,
    case
        when refused is not null then 'refused'
        when outcome in ('failed', 'waiting') then outcome
        when looks > 0 and every_hours is null then 'done'
        else 'active'
    end as state,
    looks,
    last_look_at,
    found,
    new,
    case
        when refused is not null then null
        when outcome in ('failed', 'waiting') then next_try_at
        when looks = 0 then added_at
        else last_look_at + to_seconds(every_hours * 3600)
    end as next_look_at,
    case
        when refused is not null then refused
        when outcome in ('failed', 'waiting') then error_class || ': ' || message
    end as why
from told
where $state is null or state = $state
order by plan, number, address
