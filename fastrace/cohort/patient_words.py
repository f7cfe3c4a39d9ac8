"""Names of columns that name a patient, as registries, trials and hospitals make them of a few words.

Not "id" or "case" alone, which may be anything, nor "study id". Lower case, letters and digits only. A column under another name
is noticed by its values (`fastrace.cohort.unlisted`).
"""

from __future__ import annotations

_PERSONS = ("patient", "pat", "subject", "subj", "participant", "person", "individual", "patienten")
_NUMBERS = ("id", "no", "nr", "num", "number", "code", "key", "identifier", "nummer", "pseudonym")
_ANONYMOUS = ("anon", "deid", "pseudo", "anonymized", "anonymised", "deidentified", "pseudonymized", "pseudonymised")
_OF_STUDIES = ("study", "research", "trial")


def _words() -> tuple[str, ...]:
    alone = ("participant", "person", "individual", *(one + number for one in _PERSONS for number in _NUMBERS))
    every = ("patient", "subject", *alone)
    before = [one + word for one in (*_ANONYMOUS, *_OF_STUDIES) for word in every]
    behind = [word + one for one in _ANONYMOUS for word in every]
    ids = [one + "id" for one in _ANONYMOUS]
    # dbGaP, CDISC, UK Biobank; an id of a case last, since a patient may have several
    return (*alone, *before, *behind, *ids, "dbgapsubjectid", "usubjid", "eid", "caseid")


PATIENT_WORDS = tuple(dict.fromkeys(_words()))
"""The most usual first."""
