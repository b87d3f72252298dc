-- ---
-- title: Different verbs and nouns in the captions (the paper's "actionness")
-- description: >
--   The paper counts 212,155 different verbs in InternVid's captions and 109,485 in WebVid10M's, tagged by NLTK; its
--   text calls that "about ten times", the numbers say 1.94 times. The count grows with the number of captions, so
--   compare verbs_per_caption, not unique_verbs, with a lake of another size.
-- ---
with of_captions as (
    select coalesce(sum(total_rows), 0)::bigint as captions from caption_totals
),

of_words as (
    select
        count(*) filter (where part = 'verb') as unique_verbs,
        count(*) filter (where part = 'noun') as unique_nouns,
        coalesce(sum(total_rows) filter (where part = 'verb'), 0) as verbs,
        coalesce(sum(total_rows) filter (where part = 'noun'), 0) as nouns
    from word_totals
)

select
    captions,
    unique_verbs,
    unique_nouns,
    verbs / nullif(captions, 0) as verbs_per_caption,
    nouns / nullif(captions, 0) as nouns_per_caption,
    212155 as paper_unique_verbs,
    109485 as paper_unique_verbs_webvid10m
from of_captions, of_words
