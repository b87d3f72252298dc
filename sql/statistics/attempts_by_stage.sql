-- ---
-- title: Inputs that a stage did not turn into rows, by stage and reason
-- description: >
--   will_retry: inputs that are retried by themselves; the others wait for a changed input or `internvid retry`.
--   example: the message of the latest attempt.
-- ---
select
    stage,
    outcome,
    error_class,
    count(*) as inputs,
    coalesce(sum(tries), 0)::bigint as tries,
    count(next_try_at) as will_retry,
    max(written_at) as last_at,
    arg_max(message, written_at) as example
from attempts
group by stage, outcome, error_class
order by stage, outcome, inputs desc, error_class
