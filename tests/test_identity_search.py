"""Nothing of a person is in a dataset or on the terminal, wherever and however it was typed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fastrace.bench.studies.identity_search import PLACES, SPELLINGS, TABLE, hits, people, search, spelled


def test_the_search_finds_what_is_there() -> None:
    everybody = people(random.Random(1), 3)
    missed = {"{cut}"}  # the beginning of a name is no word of anybody; it must still be withheld
    for spelling in set(SPELLINGS) - missed:
        text = spelled(everybody[0], spelling)
        assert hits(everybody, iter([("index.parquet text model", text)])), spelling
    assert not hits(
        everybody, iter([("index.parquet text model", "Selenia Dimensions 3.1"), ("README.md", "2 patients")])
    )


@pytest.mark.filterwarnings(
    "ignore:Invalid value for VR", "ignore:The value length"
)  # what is written is wrong on purpose
def test_no_decoded_value_and_no_printed_line_holds_anything_of_a_person(tmp_path: Path) -> None:
    found = search(tmp_path, seed=0, persons=12, files=2 * len(PLACES))
    assert found["hits"] == []
    assert found["indexed"] > len(PLACES)
    assert set(found["withheld"]) >= {"manufacturer", "model", "body_part", "software_versions", "grid"}
    assert set(found["withheld"]) >= {"race_recorded", *TABLE} - {
        "side",
        "race",
    }  # a side is L, R or B: no text is left in it
