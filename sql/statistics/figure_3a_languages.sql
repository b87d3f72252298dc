-- ---
-- title: Videos by spoken language (Figure 3a)
-- description: >
--   A video has the language that is spoken in most of its clips; "no speech" where nothing is said that is known here.
--   named_by_paper: the paper's figure names the language; which share belongs to which cannot be read from it.
-- ---
select
    coalesce(language, 'no speech') as language,
    total_rows as videos,
    total_rows / sum(total_rows) over () as share,
    coalesce(language in ('en', 'zh', 'ru', 'ko', 'fr', 'ja', 'th', 'de'), false) as named_by_paper
from language_totals
order by videos desc, language
