-- ---
-- title: Inputs that a stage did not turn into rows, by stage and reason
-- ---
select
    stage,
    outcome,
    error_class,
    count(*) as total_rows,
    coalesce(sum(tries), 0) as total_tries,
    count(next_try_at) as total_with_next_try
from attempts
group by all
