-- ---
-- title: The latest five hundred failures, with the original error text
-- ---
select stage, label, key, error_class, message, tries, next_try_at, written_at, run_id
from attempts
where outcome = 'failed'
order by written_at desc nulls last, stage, key
limit 500
