-- Clips without a frame: every clip has at least its middle one.
select (select count(*) from clips where clip_id not in (select clip_id from frames)) as clips_without_frame
