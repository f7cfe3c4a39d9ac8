"""View words: the standard's terms, and what consoles write instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrace.dicom.views import (
    BREAST,
    MODIFIERS,
    OTHER,
    VIEWS,
    WORDED,
    read_description,
    read_orientation,
    read_side,
    read_words,
)

SIDES = {"L": ("L", "LEFT", "Lt", "l."), "R": ("R", "RIGHT", "rt", "r"), None: ("",)}
POSES = (
    "ERECT",
    "SUPINE",
    "UPRIGHT",
    "PORTABLE",
    "standing",
    "(bed)",
    "SITTING",
    "INSP",
    "VIEW",
    "CHEST",
    "SEMI-ERECT",
    "1",
)


@pytest.mark.parametrize(
    ("written", "view", "side", "modifiers"),
    [
        ("RCC", "CC", "R", ()),
        ("L MLO", "MLO", "L", ()),
        ("LMLO", "MLO", "L", ()),
        ("r-cc", "CC", "R", ()),
        ("LML", "ML", "L", ()),
        ("LM", "LM", None, ()),  # a view of its own, not a left M
        ("RLMO", "LMO", "R", ()),
        ("CCD", "CC", "R", ()),  # direita
        ("MLOE", "MLO", "L", ()),  # esquerda
        ("RMCC", "CC", "R", ("magnification",)),
        ("LSMLO", "MLO", "L", ("spot_compression",)),
        ("LCCID", "CC", "L", ("implant_displaced",)),
        ("R CC SPOT MAG", "CC", "R", ("magnification", "spot_compression")),
        ("MLO IMPLANT DISPLACED", "MLO", None, ("implant_displaced",)),
        ("CC ID", "CC", None, ("implant_displaced",)),
        ("L CC EKLUND", "CC", "L", ("implant_displaced",)),
        ("CC IMPL DISP", "CC", None, ("implant_displaced",)),
        ("Craniocaudal implant displaced", "CC", None, ("implant_displaced",)),
        ("CC IMPLANT", "CC", None, ("implant",)),
        ("MLO w/ implant", "MLO", None, ("implant",)),
        ("CC w/o implant", "CC", None, ()),
        ("R CC ROLLED MED", "CC", "R", ("rolled_medial",)),
        ("L CC LAT ROLLED", "CC", "L", ("rolled_lateral",)),  # a way to roll, not a lateral view
        ("CC ROLLED", "CC", None, ("rolled",)),
        ("CC STEREO", "CC", None, ("stereo",)),
        ("CC PARTIAL", "CC", None, ("partial",)),
        ("SPECIMEN CC", "CC", None, ("specimen",)),
        ("Left medio-lateral oblique", "MLO", "L", ()),
        ("Cranio-Caudal", "CC", None, ()),
        ("Oblíqua médio-lateral", "MLO", None, ()),
        ("OBLICUA MEDIOLATERAL", "MLO", None, ()),
        ("OBLICUA MEDIOLAT", "MLO", None, ()),  # 16 characters, as a Code String has
        ("oblique médio-latérale", "MLO", None, ()),
        ("Médio-latérale oblique gauche", "MLO", None, ()),
        ("D obliqua medio-laterale", "MLO", None, ()),
        ("schräg mediolateral", "MLO", None, ()),
        ("ML OBL", "MLO", None, ()),
        ("RML oblique", "MLO", "R", ()),
        ("Oblicua lateromedial", "LMO", None, ()),
        ("OMLD", "MLO", "R", ()),
        ("médio-latérale", "ML", None, ()),
        ("Cráneo-caudal", "CC", None, ()),
        ("Kraniokaudal", "CC", None, ()),
        ("CC MLO", OTHER, None, ()),
        ("AP SUPINE", "AP", None, ()),
        ("ERECT PA", "PA", None, ()),
        ("PA", "PA", None, ()),
        ("Posteroanterior", "PA", None, ()),
        ("AP AXIAL", "AXIAL", None, ()),
        ("AP LLD", "LLD", None, ()),
        ("AP/PA", "FRONTAL", None, ()),
        ("LATERAL", "LATERAL", None, ()),
        ("XTABLE LATERAL", "LATERAL", None, ()),
        ("left lateral", "LL", None, ()),
        ("LL", "LL", None, ()),
        ("PA LAT", "LATERAL", None, ()),  # not to be taken for a frontal view
        ("M\u00fcller Eva", OTHER, None, ()),
        ("19700101", OTHER, None, ()),
        ("", None, None, ()),
        (" ", None, None, ()),
        ("UNKNOWN", None, None, ()),
        ("N/A", None, None, ()),
        ("OTHER", OTHER, None, ()),
    ],
)
def test_what_consoles_write(written: str, view: str | None, side: str | None, modifiers: tuple[str, ...]) -> None:
    assert read_words(written) == (view, side, modifiers)


@given(st.sampled_from(BREAST), st.sampled_from(list(SIDES)), st.data())
def test_a_side_changes_no_view_of_the_breast(view: str, side: str | None, data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(SIDES[side]))
    gap = data.draw(st.sampled_from([" ", "-", "_", " - "]))
    written = data.draw(st.sampled_from([f"{word}{gap}{view}", f"{view}{gap}{word}", f"{view.lower()} {word}"]))
    assert read_words(written)[:2] == (view, side)


@given(st.sampled_from(BREAST), st.sampled_from("LR"))
def test_a_side_may_be_glued_to_it(view: str, side: str) -> None:
    assert read_words(side + view)[:2] == (view, side)


def test_upright_is_no_side() -> None:
    assert read_words("UPRIGHT LATERAL").view == read_words("LATERAL UPRIGHT").view == "LATERAL"
    assert read_words("RIGHT LATERAL UPRIGHT").view == "RL"


@given(st.sampled_from(VIEWS), st.lists(st.sampled_from(POSES), max_size=3), st.randoms(use_true_random=False))
def test_how_the_patient_stood_changes_no_view(view: str, poses: list[str], random: object) -> None:
    words = [view, *poses]
    random.shuffle(words)  # type: ignore[attr-defined]
    assert read_words(" ".join(words)).view == view


@pytest.mark.parametrize(
    ("said", "view"),
    [
        ("CHEST LATERAL", "LATERAL"),
        ("Thorax seitlich", "LATERAL"),
        ("CHEST PA", "PA"),
        ("Chest AP portable", "AP"),
        ("CHEST AP/PA", "FRONTAL"),
        ("LAT DECUB AP", "DECUBITUS"),
        ("CHEST PA AND LATERAL", None),  # a pair
        ("CHEST 2 VIEWS PA LAT", None),
        ("CHEST AP LORDOTIC", "LORDOTIC"),
        ("CHEST PA LAT OBLIQUES", "OBLIQUE"),  # one of them is not plain, and it may be this one
        ("Thorax schräg", "OBLIQUE"),
        ("CHEST LLD", "LLD"),
        ("TORAX PERFIL", "LATERAL"),
        ("Torace PA + LL", None),
        ("Rx torace LL", "LATERAL"),
        ("BILATERAL", None),
        ("PATCHEST LATER", None),
        ("CHEST", None),
        (None, None),
    ],
)
def test_a_description_tells_a_view_only_beyond_doubt(said: str | None, view: str | None) -> None:
    assert read_description(said) == view


@pytest.mark.parametrize(
    ("row", "column", "view"),
    [
        ("L", "F", "FRONTAL"),
        ("R", "F", "FRONTAL"),
        ("P", "F", "LATERAL"),
        ("A", "F", "LATERAL"),
        ("F", "L", "FRONTAL"),  # turned by a quarter
        ("H", "A", "LATERAL"),
        ("L", "P", None),  # across the body
        ("AL", "F", None),  # oblique
        ("", "F", None),
        ("F", "H", None),
        ("", "", None),
    ],
)
def test_directions_tell_frontal_from_lateral(row: str, column: str, view: str | None) -> None:
    assert read_orientation(row, column) == view


@given(st.text(max_size=40))
def test_no_text_but_the_vocabulary_comes_out(text: str) -> None:
    found = read_words(text)
    assert found.view in (*VIEWS, OTHER, None)
    assert found.side in ("L", "R", "B", None)
    assert set(found.modifiers) <= {*MODIFIERS, *WORDED}
    assert read_side(text) in ("L", "R", "B", None)
