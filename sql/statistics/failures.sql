-- ---
-- title: The latest five hundred failures, with the original error text
-- ---
select stage, label, key, error_class, message, tries, next_try_at, written_at, run_id
from latest_failures
order by ranked_by
limit 500
