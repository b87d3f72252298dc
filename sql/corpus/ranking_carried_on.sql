-- The first $kept of the rows that are known.
-- Reads: candidates (ranking_candidates.sql).
select * exclude (is_known)
from candidates
where is_known
qualify row_number() over (partition by ranked_within order by ranked_by) <= $kept
