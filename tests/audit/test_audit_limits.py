"""An audit of race or ethnicity says how many headers carry the attribute that nobody read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from fastrace.audit.limits import limits


def sentences(target: str, counts: dict[str, Any]) -> list[str]:
    cohort = SimpleNamespace(target=target, frame=pd.DataFrame({"mm_per_pixel": [0.1]}), rows=[0], left_out={})
    subjects: Any = SimpleNamespace(cohort=cohort)
    return [one for one in limits(subjects, [], [], counts) if "(0010,2160)" in one]


@pytest.mark.parametrize(
    ("carrying", "words"),
    [
        (0, "No header"),
        (250, "The headers of 250 of 1,000 images"),
        (3, "Some headers"),  # so few images could be told apart
        (995, "Some headers"),
    ],
)
def test_an_audit_of_race_says_how_many_headers_carry_ethnic_group(carrying: int, words: str) -> None:
    [found] = sentences("race", {"ethnic_group": carrying, "indexed": 1000})
    assert found.startswith(words)
    assert "label table alone" in found


def test_other_attributes_and_datasets_without_the_count_say_nothing() -> None:
    assert sentences("sex", {"ethnic_group": 250, "indexed": 1000}) == []
    assert sentences("race", {"indexed": 1000}) == []
