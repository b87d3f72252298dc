-- Comparisons of videos that no longer have a fingerprint.
select video_id
from comparisons
where video_id not in (select video_id from fingerprints)
