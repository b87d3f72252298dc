-- ---
-- title: Clips by whole seconds of their duration
-- description: >
--   A step holds its lower bound and not its upper one; the last, 120, holds all longer clips. Steps without a clip have
--   no row. Imported spans are left out.
-- ---
select
    seconds as from_seconds,
    total_rows as clips,
    total_rows / sum(total_rows) over () as share
from clip_second_totals
order by from_seconds
