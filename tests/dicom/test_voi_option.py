"""The grammar of ``--voi``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrace.dicom.voi import VOI_FUNCTIONS, VoiOption, parse_voi
from fastrace.errors import UsageError


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("robust", VoiOption("robust")),
        (" Full ", VoiOption("full")),
        ("window:2", VoiOption("window", number=2)),
        ("lut:1", VoiOption("lut", number=1)),
        ("40,400", VoiOption("values", center=40, width=400)),
        ("-600, 1500", VoiOption("values", center=-600, width=1500)),
        ("0.5,0.25,linear_exact", VoiOption("values", center=0.5, width=0.25, function="LINEAR_EXACT")),
        ("2653,900,SIGMOID", VoiOption("values", center=2653, width=900, function="SIGMOID")),
        ("7,1", VoiOption("values", center=7, width=1)),
    ],
)
def test_each_form_is_parsed(text: str, option: VoiOption) -> None:
    assert parse_voi(text) == option


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "expected window:N"),
        ("window", "expected window:N"),
        ("window:0", "counts from 1"),
        ("lut:x", "counts from 1"),
        ("40", "expected window:N"),
        ("40,0", "at least 1"),
        ("40,0.5", "at least 1"),
        ("40,0,SIGMOID", "greater than 0"),
        ("nan,400", "width of LINEAR"),
        ("40,inf", "at least 1"),
        ("40,400,CUBIC", "one of LINEAR, LINEAR_EXACT, SIGMOID"),
        ("40,400,SIGMOID,1", "one of LINEAR"),
        ("a,b", "expected window:N"),
    ],
)
def test_anything_else_is_a_usage_error_that_names_what_was_expected(text: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        parse_voi(text)


@given(
    st.one_of(
        st.builds(VoiOption, st.sampled_from(["window", "lut"]), number=st.integers(1, 99)),
        st.sampled_from([VoiOption("robust"), VoiOption("full")]),
        st.builds(
            VoiOption,
            st.just("values"),
            center=st.floats(-4096, 65535),
            width=st.floats(1, 65536),
            function=st.sampled_from(VOI_FUNCTIONS),
        ),
    )
)
def test_an_option_prints_itself_in_its_own_grammar(option: VoiOption) -> None:
    assert parse_voi(str(option)) == option
