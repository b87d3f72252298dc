-- Comparisons of videos that have no fingerprint any more.
select video_id
from comparisons
where video_id not in (select video_id from fingerprints)
