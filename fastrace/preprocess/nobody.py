"""Patient IDs of headers that name nobody: what systems write where they know no patient, or tell none.

Three persons under UNKNOWN or ANONYMOUS are not one. Words are told as in label tables (`fastrace.cohort.non_answers`), with
those of de-identification; a digit beside them makes an id of them (ANON-0012). Codes of two or three letters may be initials.
Nothing but zeros is the first patient of an archive that is numbered from 0 as often as it is nobody, and NA may be somebody's
initials: they are left to what the headers say of the person, and asked about where that is several.
"""

from __future__ import annotations

import re
import unicodedata

from fastrace.cohort.non_answers import stratum
from fastrace.cohort.persons import PersonFacts

_NOBODY = frozenset({
    "anon", "anonym", "anonyme", "anonymous", "anonymus", "anonymised", "anonymized", "anonymisiert", "anonimo", "anonima",
    "anonimizado", "anonimizada", "anonymise", "deidentified", "deid", "identified", "redacted", "removed", "deleted", "hidden",
    "none", "null", "nil", "unk", "ukn", "tbd", "noid", "nobody", "nopatient", "noname",
})  # fmt: skip
_BESIDE = frozenset({"patient", "patients", "pat", "subject", "id", "name", "no", "not", "de"})
_EITHER = frozenset({"na", "nan"})
_CODE = 3  # letters


def is_nobody(patient_id: str | None) -> bool:
    """Whether a Patient ID is there and names nobody."""
    if not patient_id or re.search(r"\d", patient_id) or patient_id.casefold().strip() in _EITHER:
        return False
    decomposed = unicodedata.normalize("NFKD", patient_id.casefold())
    words = re.findall(r"[^\W_]+", "".join(one for one in decomposed if not unicodedata.combining(one)))
    if (
        not words
        or "".join(words) in _NOBODY | _EITHER
        or (_NOBODY.intersection(words) and set(words) <= _NOBODY | _BESIDE)
    ):
        return True
    return sum(map(len, words)) > _CODE and stratum(patient_id) is not None


class Either:
    """Collects what is said of the persons whose Patient ID may be nobody's: NA, 0, 0000, 00-00; state: that."""

    def __init__(self) -> None:
        self._said: dict[str, set[tuple[str, object]]] = {}
        self._example: dict[str, str] = {}

    def add(self, said: PersonFacts, path: str) -> None:
        """Take up an image."""
        header = (said.header or "").casefold()
        if said.header is None or (header.strip() not in _EITHER and set(re.findall(r"[^\W_]", header)) != {"0"}):
            return
        facts = {"sex": said.sex if said.sex in ("M", "F") else None, "birth": said.birth_day}
        self._said.setdefault(said.header, set()).update((name, one) for name, one in facts.items() if one is not None)
        self._example.setdefault(said.header, path)

    def question(self) -> str | None:
        """What to ask where one of them is several persons; None: nothing."""
        several = [one for one, said in self._said.items() if len(said) > len({name for name, _ in said})]
        if not several:
            return None
        return (
            "Patient ID (0010,0020) is NA or nothing but zeros on files of different sexes or birth dates "
            f"({self._example[several[0]]}): it may stand for nobody. Say who they are, by a label table with a patient for each "
            "image and --patient-from table; or that it is one person: --patient-from header, without a label table a FILE that "
            "names it"
        )
