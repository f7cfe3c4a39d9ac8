"""What is no answer is never a class, however a system words it; what is an answer stays one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrace.cohort.non_answers import no_answers, stratum

UNKNOWN = (
    "Unknown, Unavailable or Unreported", "UNABLE TO OBTAIN", "Not Recorded", "Race and Ethnicity Unknown",
    "Unknown/Not Reported", "unbekannt", "keine Angabe", "k. A.", "Inconnu", "Non renseigné", "Desconocido", "No informado",
    "未知", "Okänd", "NOT SPECIFIED", "Unknown or declined",
    "Temporarily unavailable", "Asked but no answer", "No matching concept", "Undeclared", "Not Obtained", "Not on file",
    "Unable to Determine", "Not indicated", "Unable to collect", "Data Not Available", "Information not available",
    "Patient unable to answer", "No Race Specified", "Did Not Know", "Don’t know", "Not Mentioned", "None recorded",
    "Race not otherwise specified", "Unclassified", "UTD", "TBD", "To be determined", "not yet asked", "Cannot be determined",
    "Nicht verfügbar", "Weiß nicht", "Non déclaré", "Sans réponse", "Sin información", "No sabe", "Não informado",
    "Non dichiarato", "Niet ingevuld", "Patient did not answer", "did not respond", "Unable to answer", "No entry", "No value",
    "Not in record", "Ukn", "Unknown/Not stated", "Not stated/inadequately described", "ohne Angabe", "empty",
)  # fmt: skip
DECLINED = (
    "Patient Declines", "PATIENT DECLINED TO ANSWER", "Patient Refused", "Prefer not to say", "Prefer Not To Answer",
    "Declined", "Choose not to disclose", "Refusé", "Verweigert", "Prefiere no responder", "Prefere não dizer", "拒绝",
    "Refused/Declined", "I prefer not to answer", "Decline to Identify", "Do not wish to disclose", "I'd rather not say",
    "Pt does not want to answer", "I do not wish to provide this information", "Declined to State", "Not disclosed",
    "Will not answer", "Opted out", "Möchte nicht antworten", "Je préfère ne pas répondre", "Ne souhaite pas répondre",
    "No desea responder", "Se niega a responder", "Preferisce non rispondere", "Wil niet zeggen", "Zegt liever niet",
    "Does not wish to disclose", "Would rather not say", "Asked but declined", "Not willing to disclose", "Wishes not to answer",
    "PT DECLINED", "Pt refused", "no contesta", "möchte nicht angeben", "opt out",
    "Patient unwilling",
)  # fmt: skip
# HL7 v3 NullFlavor, FHIR data-absent-reason. Its "other" (OTH) is an answer, its "trace" and "not present" are findings.
NULL_FLAVOURS = (
    "NI", "NoInformation", "No information", "INV", "invalid", "NINF", "negative infinity", "PINF", "MSK", "masked", "NAV",
    "temporarily unavailable", "NASK", "not asked", "ASKU", "asked but unknown", "AskedButUnknown", "UNK", "unknown", "QS",
    "Sufficient Quantity", "NP", "NA", "not applicable", "temp-unknown", "not-a-number",
)  # fmt: skip
DECLINED_CODED = ("7 - Refused", "Refused (7)", "D: Declined")
# No answers only where they are all that the cell says, but for the code of the answer: "ninguna religión" is an answer.
WHOLE = (
    "99 Unknown",
    "9=Unknown",
    "9: Unknown",
    "9.unknown",
    "(99) Not stated",
    "Unknown - 99",
    "-9 = missing",
    "U - Unknown",
    "99999 Unknown",
    "ninguno",
    "Ninguna",
    "xxx",
    "XXXX",
    "?",
    "X: unknown",
)
# OMB 1997 and 2024, the census, FHIR, MIMIC, DICOM, and what else tables hold that sounds like one of those above.
ANSWERS = (
    "White", "Black or African American", "American Indian or Alaska Native", "Asian",
    "Native Hawaiian or Other Pacific Islander", "Hispanic or Latino", "Not Hispanic or Latino",
    "Middle Eastern or North African", "Multiracial and/or Multiethnic", "Two or more races", "Some other race",
    "Some Other Race alone", "Other", "OTH", "OTHER", "Other race", "Chinese", "Filipino", "Asian Indian", "Vietnamese",
    "Korean", "Japanese", "Samoan", "Guamanian or Chamorro", "Native American", "Nonwhite", "Non-Hispanic White",
    "Mexican, Mexican American, Chicano", "No, not of Hispanic, Latino, or Spanish origin", "BLACK/CAPE VERDEAN",
    "HISPANIC/LATINO - PUERTO RICAN", "WHITE - OTHER EUROPEAN", "PORTUGUESE", "Ni-Vanuatu", "White, ethnicity unknown",
    "Unknown tribe", "Unknown/Other", "None of these", "None of the above", "None of the races listed here", "NA-born",
    "Patient", "I", "1", "No", "Yes", "Male", "Female", "Nonbinary", "Another gender", "Prefer to self-describe",
    "No insurance", "Uninsured", "Medicaid", "Non-English", "English not first language", "No finding", "Not present",
    "Not detected", "Negative", "trace", "Unselected", "Not dense", "Self-reported", "No preference",
    "Other/Unknown", "9 - Other", "7 White", "Ninguno de los anteriores",
    "Ninguna religión", "XX", "Unknown 2nd parent", "A - unknown tribe", "4711234 Unknown",
)  # fmt: skip
# The answers of whole lists: the Office for National Statistics (England and Wales, 2021), the Australian Bureau of Statistics
# (Indigenous status), OMB (2024), and what German forms ask.
LISTS = (
    "Asian, Asian British or Asian Welsh", "Bangladeshi", "Any other Asian background",
    "Black, Black British, Black Welsh, Caribbean or African", "Any other Black, Black British, or Caribbean background",
    "Mixed or Multiple ethnic groups", "White and Black Caribbean", "Any other Mixed or Multiple ethnic background",
    "English, Welsh, Scottish, Northern Irish or British", "Irish", "Gypsy or Irish Traveller", "Roma",
    "Any other White background", "Arab", "Any other ethnic group", "Other ethnic group: Any other ethnic group",
    "Aboriginal but not Torres Strait Islander origin", "Torres Strait Islander but not Aboriginal origin",
    "Both Aboriginal and Torres Strait Islander origin", "Neither Aboriginal nor Torres Strait Islander origin",
    "No religion", "No, neither", "Middle Eastern or North African", "Native Hawaiian or Pacific Islander",
    "deutsch", "Deutsch ohne Migrationshintergrund", "kein Migrationshintergrund", "keine", "keine Religion", "konfessionslos",
    "ohne Bekenntnis", "andere", "sonstige", "staatenlos", "divers", "männlich", "weiblich", "europäisch", "asiatisch",
)  # fmt: skip
SILENT = ("Patient", "I", "No", "1", "Self-reported", "Prefer to self-describe", "No insurance", "Ninguna religión")
NEUTRAL = (
    "patient",
    "pt",
    "race",
    "I",
    "the",
    "ethnicity",
    "at this time",
    "/",
    "-",
    ",",
    "currently",
    "is",
    "by",
    "question",
)


@pytest.mark.parametrize("cell", [*UNKNOWN, *NULL_FLAVOURS, *WHOLE])
def test_no_answer_is_unknown(cell: str) -> None:
    assert stratum(cell) == "unknown"


@pytest.mark.parametrize("cell", [*DECLINED, *DECLINED_CODED])
def test_no_answer_that_was_meant_is_declined(cell: str) -> None:
    assert stratum(cell) == "declined"


@pytest.mark.parametrize("cell", [*ANSWERS, *LISTS])
def test_an_answer_stays_one(cell: str) -> None:
    assert stratum(cell) is None
    assert stratum(cell.upper()) is None


@given(
    st.sampled_from(
        [one for one in (*UNKNOWN, *DECLINED, *NULL_FLAVOURS) if " " in one or one.islower() or not one.isascii()]
    ),
    st.lists(st.sampled_from(NEUTRAL), max_size=3),
    st.lists(st.sampled_from(NEUTRAL), max_size=3),
    st.sampled_from([str, str.upper, str.lower]),
)
def test_neutral_words_beside_no_answer_make_no_answer_of_it(
    cell: str, before: list, after: list, case: object
) -> None:
    assert callable(case)
    if not cell.isascii():
        case = str  # capitals of ß are SS
    assert stratum(case(" ".join((*before, cell, *after)))) == stratum(cell)


@given(st.sampled_from(ANSWERS), st.lists(st.sampled_from((*UNKNOWN, *DECLINED)), max_size=2))
def test_an_answer_beside_no_answer_is_an_answer(cell: str, beside: list) -> None:
    # These say nothing themselves, or (No insurance) only alone; a number beside words is their code.
    if cell not in SILENT:
        assert stratum(", ".join((cell, *beside))) is None


@pytest.mark.parametrize(
    ("cells", "gaps"),
    [
        ("No response;Response;Unknown", "Unknown"),
        ("No response;Complete", "No response"),
        ("nicht weiß;weiß;Weiß nicht", "Weiß nicht"),
        ("weiß;Nicht bekannt", "Nicht bekannt"),
        ("NOT CONFIRMED;Confirmed", ""),
        ("Not completed;Completed;Not recorded", "Not recorded"),
        ("Masked;Not masked", ""),
        ("Masked;White", "Masked"),
        ("Unclassified;Classified", ""),
        ("Unknown;Known", "Unknown"),
        ("+;++;+++;+/-;-;?", "?"),
        ("(-);(+)", ""),
        ("-;yes", "-"),
        ("+;Unknown", "Unknown"),
    ],
)
def test_a_gap_beside_its_counterpart_is_an_answer(cells: str, gaps: str) -> None:
    """Half of a column of findings was read as unknown."""
    assert sorted(no_answers(cells.split(";"))) == sorted(filter(None, gaps.split(";")))


def test_short_codes_are_no_answers_only_where_a_column_asks_who_somebody_is() -> None:
    codes = ("MSK", "NI", "NP", "QS", "INV", "utd")
    assert not no_answers(codes, codes=False)
    assert set(no_answers(codes)) == set(codes)
    assert set(no_answers(("UNK", "ASKU", "NASK", "NAV", "Unknown"), codes=False)) == {
        "UNK", "ASKU", "NASK", "NAV", "Unknown"
    }  # fmt: skip
