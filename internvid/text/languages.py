"""Languages by their ISO 639-1 codes: their names in English, and what NLLB calls them."""

from __future__ import annotations

# Code, NLLB's code, name. Of a language that NLLB knows in several forms or scripts the one that most is written in:
# Arabic is Modern Standard Arabic, Chinese is in simplified characters. "-" where NLLB does not know it.
_LANGUAGES = """
af afr_Latn Afrikaans
ak aka_Latn Akan
am amh_Ethi Amharic
ar arb_Arab Arabic
as asm_Beng Assamese
ay ayr_Latn Aymara
az azj_Latn Azerbaijani
ba bak_Cyrl Bashkir
be bel_Cyrl Belarusian
bg bul_Cyrl Bulgarian
bm bam_Latn Bambara
bn ben_Beng Bengali
bo bod_Tibt Tibetan
br - Breton
bs bos_Latn Bosnian
ca cat_Latn Catalan
cs ces_Latn Czech
cy cym_Latn Welsh
da dan_Latn Danish
de deu_Latn German
dz dzo_Tibt Dzongkha
ee ewe_Latn Ewe
el ell_Grek Greek
en eng_Latn English
eo epo_Latn Esperanto
es spa_Latn Spanish
et est_Latn Estonian
eu eus_Latn Basque
fa pes_Arab Persian
ff fuv_Latn Fula
fi fin_Latn Finnish
fj fij_Latn Fijian
fo fao_Latn Faroese
fr fra_Latn French
fy - West Frisian
ga gle_Latn Irish
gd gla_Latn Scottish Gaelic
gl glg_Latn Galician
gn grn_Latn Guarani
gu guj_Gujr Gujarati
ha hau_Latn Hausa
he heb_Hebr Hebrew
hi hin_Deva Hindi
hr hrv_Latn Croatian
ht hat_Latn Haitian Creole
hu hun_Latn Hungarian
hy hye_Armn Armenian
id ind_Latn Indonesian
ig ibo_Latn Igbo
is isl_Latn Icelandic
it ita_Latn Italian
ja jpn_Jpan Japanese
jv jav_Latn Javanese
ka kat_Geor Georgian
kg kon_Latn Kongo
ki kik_Latn Kikuyu
kk kaz_Cyrl Kazakh
km khm_Khmr Khmer
kn kan_Knda Kannada
ko kor_Hang Korean
kr knc_Latn Kanuri
ks kas_Arab Kashmiri
ku kmr_Latn Kurdish
ky kir_Cyrl Kyrgyz
la - Latin
lb ltz_Latn Luxembourgish
lg lug_Latn Ganda
li lim_Latn Limburgish
ln lin_Latn Lingala
lo lao_Laoo Lao
lt lit_Latn Lithuanian
lv lvs_Latn Latvian
mg plt_Latn Malagasy
mi mri_Latn Maori
mk mkd_Cyrl Macedonian
ml mal_Mlym Malayalam
mn khk_Cyrl Mongolian
mr mar_Deva Marathi
ms zsm_Latn Malay
mt mlt_Latn Maltese
my mya_Mymr Burmese
nb nob_Latn Norwegian Bokmål
ne npi_Deva Nepali
nl nld_Latn Dutch
nn nno_Latn Norwegian Nynorsk
no nob_Latn Norwegian
ny nya_Latn Chichewa
oc oci_Latn Occitan
om gaz_Latn Oromo
or ory_Orya Odia
pa pan_Guru Punjabi
pl pol_Latn Polish
ps pbt_Arab Pashto
pt por_Latn Portuguese
qu quy_Latn Quechua
rn run_Latn Rundi
ro ron_Latn Romanian
ru rus_Cyrl Russian
rw kin_Latn Kinyarwanda
sa san_Deva Sanskrit
sc srd_Latn Sardinian
sd snd_Arab Sindhi
sg sag_Latn Sango
si sin_Sinh Sinhala
sk slk_Latn Slovak
sl slv_Latn Slovenian
sm smo_Latn Samoan
sn sna_Latn Shona
so som_Latn Somali
sq als_Latn Albanian
sr srp_Cyrl Serbian
ss ssw_Latn Swati
st sot_Latn Sotho
su sun_Latn Sundanese
sv swe_Latn Swedish
sw swh_Latn Swahili
ta tam_Taml Tamil
te tel_Telu Telugu
tg tgk_Cyrl Tajik
th tha_Thai Thai
ti tir_Ethi Tigrinya
tk tuk_Latn Turkmen
tl tgl_Latn Tagalog
tn tsn_Latn Tswana
tr tur_Latn Turkish
ts tso_Latn Tsonga
tt tat_Cyrl Tatar
tw twi_Latn Twi
ug uig_Arab Uyghur
uk ukr_Cyrl Ukrainian
ur urd_Arab Urdu
uz uzn_Latn Uzbek
vi vie_Latn Vietnamese
wo wol_Latn Wolof
xh xho_Latn Xhosa
yi ydd_Hebr Yiddish
yo yor_Latn Yoruba
zh zho_Hans Chinese
zu zul_Latn Zulu
"""

_ROWS = [line.split(" ", 2) for line in _LANGUAGES.split("\n") if line]
NAMES = {code: name for code, _, name in _ROWS}  # in English
NLLB_CODES = {code: nllb for code, nllb, _ in _ROWS if nllb != "-"}
