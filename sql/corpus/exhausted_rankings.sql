-- Rankings of which fewer rows are known than statistics need ($needed), though there are more.
-- Reads: candidates (ranking_candidates.sql).
select ranked_within
from candidates
group by ranked_within
having count(*) filter (is_known) < least($needed, any_value(ranked_rows)) or count(*) filter (is_known) > any_value(ranked_rows)
