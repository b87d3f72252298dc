-- What subsets works on: the subset that is made, resting on the snapshot that it is selected from.
select subset as unit, subset as partition, subset as label, subset as variant, snapshot as inputs, null::varchar as skip
from parameters
