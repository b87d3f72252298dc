-- The clips' ids in their order.
select clip_id
from numbered
order by number
