-- ---
-- title: Different verbs and nouns in the captions (the paper's "actionness")
-- description: >
--   The paper counts 212,155 different verbs in InternVid's captions and 109,485 in WebVid10M's, tagged by NLTK; its
--   text calls that "about ten times", the numbers say 1.94 times. The count grows with the number of captions, so
--   compare verbs_per_caption, not unique_verbs, with a lake of another size.
-- ---
select
    (select count(*) from clip_captions) as captions,
    (select count(distinct verb) from (select unnest(verbs) as verb from clip_captions)) as unique_verbs,
    (select count(distinct noun) from (select unnest(nouns) as noun from clip_captions)) as unique_nouns,
    (select avg(coalesce(len(verbs), 0)) from clip_captions) as verbs_per_caption,
    (select avg(coalesce(len(nouns), 0)) from clip_captions) as nouns_per_caption,
    212155 as paper_unique_verbs,
    109485 as paper_unique_verbs_webvid10m
