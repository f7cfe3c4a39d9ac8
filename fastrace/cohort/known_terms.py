"""Words of label tables that name nobody, whoever wrote them: such values are shown and kept without being compared with headers.

A Mr White may be white. Everything that is not here is compared with who the image is of (`fastrace.preprocess.label_cells`), and
a category map makes any other value a known one, since the user has written it down.
"""

from __future__ import annotations

import re
import unicodedata

from fastrace.cohort.non_answers import CONTRADICTORY, NO_ANSWER, stratum
from fastrace.cohort.vocabulary import OF_PATIENTS, asks_who, plain


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ANY = _words("true false yes no other others none of and or in the not non positive negative control case")
_RACE = _words(
    """white whites black blacks african american americans caucasian asian asians indian indians native hawaiian pacific
    islander islanders alaska alaskan hispanic latino latina latinx latine spanish origin race races ethnicity ethnic
    group mixed multiple multiracial multiethnic biracial two more than one some another combination any alone with mother
    father middle eastern north northern south southern east west western central sub saharan arab arabic european russian
    brazilian portuguese chinese korean japanese vietnamese filipino thai cambodian laotian hmong pakistani bangladeshi
    sri lankan nepalese indonesian malaysian singaporean tibetan mongolian samoan guamanian chamorro tongan fijian
    polynesian melanesian micronesian mexican chicano chicana puerto rican cuban dominican guatemalan salvadoran honduran
    nicaraguan costa panamanian colombian peruvian ecuadorian venezuelan bolivian chilean argentinian paraguayan uruguayan
    cape verdean haitian jamaican caribbean barbadian bahamian trinidadian nigerian ethiopian somali ghanaian kenyan
    egyptian moroccan algerian iranian iraqi syrian lebanese israeli palestinian turkish afghan german irish english
    british italian polish french scottish greek ukrainian romanian jewish roma gypsy traveller aboriginal maori inuit
    metis first nations indigenous torres strait islands island asiatic branca branco preta preto parda pardo amarela
    amarelo indigena"""
)
_DENSITY = _words(
    """almost entirely fatty fat scattered fibroglandular areas density densities heterogeneously heterogeneous extremely dense
    birads acr bi rads normal male"""
)
_SEX = _words("male female man woman men women intersex nonbinary binary transgender diverse divers unspecified")
_INSURANCE = _words(
    """medicare medicaid private commercial self pay uninsured insured government public military veterans va hmo ppo charity
    insurance"""
)
_LANGUAGE = _words(
    """english spanish chinese mandarin cantonese french german russian arabic portuguese vietnamese korean japanese italian
    polish tagalog hindi urdu bengali haitian creole cape verdean somali amharic greek turkish persian farsi hebrew thai
    khmer lao hmong dutch swedish danish norwegian finnish czech hungarian romanian ukrainian american sign language
    speaking en es zh fr de ru ar pt vi ko ja it pl tl hi ur bn ht so am el tr fa he th km lo nl sv da no fi cs hu ro uk"""
)
_BY_COLUMN = {
    **dict.fromkeys(OF_PATIENTS, _RACE),
    "group": _RACE | _SEX,
    "density": _DENSITY,
    "tissueden": _DENSITY,
    "insurance": _INSURANCE,
    "language": _LANGUAGE,
    "sex": _SEX,
    "gender": _SEX,
    "patientsex": _SEX,
    "genderdesc": _SEX,
}


def is_known(column: str, value: str) -> bool:
    """Whether a value of a column of a label table consists of words and numbers that say nothing about a person."""
    if value in NO_ANSWER or value == CONTRADICTORY or stratum(value, codes=asks_who(column)) is not None:
        return True
    folded = "".join(c for c in unicodedata.normalize("NFKD", value.casefold()) if not unicodedata.combining(c))
    terms = _BY_COLUMN.get(plain(column), frozenset())
    rest = [word for word in re.findall(r"[^\W_]+", folded) if word not in _ANY and word not in terms]
    # One code: several are a name that is spaced out, or a date.
    return not rest or (len(rest) == 1 and re.fullmatch(r"[a-z]|\d{1,2}", rest[0]) is not None)
