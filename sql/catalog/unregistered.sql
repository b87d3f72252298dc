-- New and changed files: those that `sources` does not hold with their present size, time and subtitles. Oldest first.
-- Reads: seen (uri, size_bytes, modified_ns, subtitles_seen: the files in the inbox; a file with two names has two
-- rows).
select
    seen.uri,
    any_value(seen.size_bytes) as size_bytes,
    any_value(seen.modified_ns) as modified_ns,
    any_value(seen.subtitles_seen) as subtitles_seen
from seen
anti join sources
    on seen.uri = sources.uri
    and seen.size_bytes = sources.size_bytes
    and seen.modified_ns = sources.modified_ns
    and seen.subtitles_seen is not distinct from sources.subtitles_seen
group by seen.uri
order by modified_ns, seen.uri
limit $files
