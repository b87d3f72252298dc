-- ---
-- title: Inputs that a stage did not turn into rows, by stage and reason
-- description: >
--   will_retry: inputs that are retried by themselves; the others wait for a changed input or `internvid retry`.
--   example: the message of the latest attempt.
-- ---
with latest as (
    select
        ranked_within,
        max(written_at) as last_at,
        arg_min(message, ranked_by) as example
    from latest_attempts
    group by ranked_within
)

select
    stage,
    outcome,
    error_class,
    total_rows as inputs,
    total_tries::bigint as tries,
    total_with_next_try as will_retry,
    last_at,
    example
from attempt_totals
left join latest on latest.ranked_within = [stage, outcome, error_class]
order by stage, outcome, inputs desc, error_class
