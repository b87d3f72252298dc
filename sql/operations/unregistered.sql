-- Files that `sources` does not hold as they are now: new ones and changed ones, the oldest first.
-- Reads: seen (uri, size_bytes, modified_ns: what lies in the inbox; a file that two names lead to stands there twice).
select seen.uri
from seen
anti join sources using (uri, size_bytes, modified_ns)
group by seen.uri
order by any_value(seen.modified_ns), seen.uri
limit $files
