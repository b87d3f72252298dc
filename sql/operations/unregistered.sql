-- Files that `sources` does not hold as they are now, with the subtitles beside them: new ones and changed ones, the
-- oldest first.
-- Reads: seen (uri, size_bytes, modified_ns, subtitles_seen: what lies in the inbox; a file that two names lead to stands
-- there twice).
select seen.uri
from seen
anti join sources
    on seen.uri = sources.uri
    and seen.size_bytes = sources.size_bytes
    and seen.modified_ns = sources.modified_ns
    and seen.subtitles_seen is not distinct from sources.subtitles_seen
group by seen.uri
order by any_value(seen.modified_ns), seen.uri
limit $files
