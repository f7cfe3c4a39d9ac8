"""What cells of a label column say: an answer, none given, or one declined; and which spellings are the same answer.

Unknown and declined are strata of their own, never dropped and never a class. A cell counts as one of them only if *all* its
words belong to such a phrase: "White, ethnicity unknown" is an answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastrace.errors import UsageError

UNKNOWN, DECLINED, CONTRADICTORY = "unknown", "declined", "contradictory"
NO_ANSWER = frozenset({UNKNOWN, DECLINED})

# Words of EMBED, MIMIC, CheXpert, HL7 null flavours, and of other languages, letters without accents.
_UNKNOWN_WORDS = frozenset(
    re.findall(
        r"\w+",
        """unknown unk unavailable unreported unrecorded unspecified undetermined undefined unobtainable unascertained
        missing blank null nan ni nask asku nav unbekannt ukendt ukjent okand onbekend tuntematon
        inconnu inconnue indetermine indeterminee desconocido desconocida desconhecido desconhecida ignorado ignorada
        sconosciuto sconosciuta ignoto nieznany nieznana nieznane neznamy bilinmiyor 不明 不详 未知 未回答 미상""",
    )
)
_DECLINED_WORDS = frozenset(
    re.findall(
        r"\w+",
        """declined declines decline declining refused refuses refuse refusal withheld undisclosed nondisclosed
        verweigert abgelehnt weigert geweigerd refus refusee recusou recusa recusado rehusa rehusado rehuso
        rifiuta rifiutato odmowa 拒绝 拒否 回答拒否""",
    )
)
# Phrases, of which the parts alone say nothing.
_UNKNOWN_PHRASES = (
    "unable to obtain", "not recorded", "not reported", "not available", "not known", "not stated", "not specified",
    "not documented", "not entered", "not asked", "not collected", "not provided", "not given", "not answered", "not ascertained",
    "not applicable", "no answer", "no response", "no information", "no data", "non reported", "dont know", "do not know",
    "does not know", "asked but unknown", "cannot be determined", "could not be determined", "not sure",
    "keine angabe", "k a", "nicht bekannt", "nicht erhoben", "nicht angegeben", "weiss nicht", "non renseigne", "non renseignee",
    "non precise", "non connu", "ne sait pas", "sans reponse", "no informado", "no informada", "no consta", "sin informacion",
    "sin dato", "sin datos", "no sabe", "nao informado", "nao informada", "nao declarado", "nao declarada", "sem informacao",
    "non noto", "non nota", "non dichiarato", "non disponibile", "niet bekend", "niet ingevuld", "brak danych",
)  # fmt: skip
_DECLINED_PHRASES = (
    "prefer not to say", "prefer not to answer", "prefer not to disclose", "prefers not to say", "prefers not to answer",
    "preferred not to answer", "preferred not to say", "rather not say", "choose not to disclose", "chose not to disclose",
    "chooses not to disclose", "choose not to answer", "chose not to answer", "does not wish to answer", "did not wish to answer",
    "do not wish to answer", "not disclosed", "will not answer", "would not answer", "unwilling to answer",
    "mochte nicht antworten", "moechte nicht antworten", "prefere ne pas repondre", "prefere ne pas dire",
    "ne souhaite pas repondre", "ne veut pas repondre", "prefiere no decir", "prefiere no decirlo", "prefiere no responder",
    "prefiere no contestar", "se niega a responder", "se niega", "no desea responder", "prefere nao dizer",
    "prefere nao responder", "preferisce non rispondere", "preferisce non dirlo", "non risponde", "wil niet zeggen",
    "zegt liever niet", "wenst niet te antwoorden",
)  # fmt: skip
# What may stand beside them without making an answer of it.
_BESIDE = frozenset(
    re.findall(
        r"\w+",
        """patient patients subject respondent participant person race races ethnicity ethnic ethnicities group sex gender
        language and or of the by to at in this time was is has been all self information info data value status answer answers
        respond response disclose say provide specify report state reported recorded patientin oder et ou o e u y und""",
    )
)


def stratum(cell: str) -> str | None:
    """``unknown`` or ``declined`` where a cell holds no answer, else None."""
    folded = "".join(one for one in unicodedata.normalize("NFKD", cell.casefold()) if not unicodedata.combining(one))
    text = " ".join(re.findall(r"\w+", folded.replace("_", " ").replace("'", "").replace("’", "")))
    if not text:
        return UNKNOWN
    found = set()
    for kind, phrases in ((DECLINED, _DECLINED_PHRASES), (UNKNOWN, _UNKNOWN_PHRASES)):
        for phrase in phrases:
            text, count = re.subn(rf"\b{phrase}\b", " ", text)
            if count:
                found.add(kind)
    for word in text.split():
        if word in _UNKNOWN_WORDS:
            found.add(UNKNOWN)
        elif word in _DECLINED_WORDS:
            found.add(DECLINED)
        elif word not in _BESIDE:
            return None
    # Of "unknown or declined" no one can say which.
    return UNKNOWN if UNKNOWN in found else DECLINED if found else None


def same_values(cells: Sequence[str | None], codes: bool) -> dict[str, str]:
    """Spelling -> the spelling kept, for the values of a column.

    Values that differ in case or white space alone are one; so are 1 and 1.0 where all values are numbers. The most frequent
    spelling is kept, of equally frequent ones the first in the order of code points.

    Parameters
    ----------
    cells : sequence of str or None
    codes : bool
        All of them are numbers.
    """
    counts = Counter(cell for cell in cells if cell is not None)
    alike: dict[str, list[str]] = {}
    for cell in sorted(counts):
        alike.setdefault(_alike(cell, codes), []).append(cell)
    return {
        cell: re.sub(r"(?<=\d)[.,]0*$", "", kept) if codes else kept
        for same in alike.values()
        for kept in [max(same, key=lambda one: (counts[one], [-ord(letter) for letter in one]))]
        for cell in same
    }


def _alike(cell: str, codes: bool) -> str:
    text = re.sub(r"\s+", "", unicodedata.normalize("NFKC", cell).casefold())
    return re.sub(r"(?<=\d)[.,]0*$", "", text) if codes else text


def strata(
    file: Path, name: str, cells: Sequence[str | None], mapping: Mapping[str, str] | None, codes: bool
) -> tuple[list[str], list[str]]:
    """The values of a label column as the index holds them, and notes for the terminal.

    A category map must name every value but those without an answer, which it may.

    Raises
    ------
    UsageError
        A value that the category map does not name.
    """
    # The map may concern one column only: a column none of whose values it names is left as it is.
    if mapping is not None and not any(str(cell).lower() in mapping for cell in cells if cell is not None):
        mapping = None
    kept = same_values(
        [cell for cell in cells if cell is not None and (mapping is None or cell.lower() not in mapping)], codes
    )
    values: dict[str | None, str] = {None: UNKNOWN}
    for cell in sorted(set(cells) - {None}, key=str):
        assert cell is not None
        if mapping is not None and cell.lower() in mapping:
            values[cell] = mapping[cell.lower()]
        elif (without := stratum(cell)) is not None:
            values[cell] = without
        elif mapping is None:
            values[cell] = kept[cell]
        elif "*" in mapping:
            values[cell] = mapping["*"]
        else:
            raise UsageError(
                f'{file}, column {name!r}: the category map does not name {cell!r}; add a line  "{cell}" = CATEGORY  or '
                "* = CATEGORY for the rest"
            )
    return [values[cell] for cell in cells], _notes(name, cells, values, kept, mapping)


def _notes(
    name: str,
    cells: Sequence[str | None],
    values: Mapping[str | None, str],
    kept: Mapping[str, str],
    mapping: Mapping[str, str] | None,
) -> list[str]:
    notes = []
    counts = Counter(cells)
    for kind in (UNKNOWN, DECLINED):
        said = [f"{cell!r} {counts[cell]}" for cell in sorted(kept) if values[cell] == kind and cell.lower() != kind]
        if said:
            notes.append(f"labels: column {name!r}: read as {kind}: {', '.join(said[:12])}{', ...' * (len(said) > 12)}")
    merged = (
        [f"{cell!r} as {values[cell]!r}" for cell in sorted(kept) if values[cell] not in (cell, *NO_ANSWER)]
        if not mapping
        else []
    )
    if merged:
        notes.append(
            f"labels: column {name!r}: one value in several spellings: {', '.join(merged[:12])}{', ...' * (len(merged) > 12)}"
        )
    return notes
