"""A text that repeats a name, a number or a date of its header is recognised however it is spelled, others are left alone."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from fastrace.dicom.identity import Identity
from fastrace.dicom.identity_of import identity_of
from fastrace.dicom.terms import TERMS, is_term


def person(**changes: Any) -> Identity:
    ds = Dataset()
    described = {
        "PatientName": "Müller^Eva Li", "PatientID": "HOSP-0004711-8", "PatientBirthDate": "19330903",
        "AccessionNumber": "ACC20991", "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.77120945.1", "StudyDate": "20190521",
        "ReferringPhysicianName": "Okonkwo-Smith^Ada^^Dr", "DeviceSerialNumber": "SN88123", "InstitutionName": "Nordlicht Klinik",
    }  # fmt: skip
    for keyword, value in (described | changes).items():
        setattr(ds, keyword, value)
    return identity_of(ds)


@pytest.mark.parametrize(
    "text",
    [
        "MUELLER", "Mueller", "Müller", "muller", "MULLER^EVA", "EVA", "eva 1933", "LI", "LI09", "Li_1", "X-LI", "QxLi 3",
        "M\u0075\u0308ller",  # the umlaut as two characters
        "19330903", "03.09.1933", "3.9.33", "03/09/1933", "09/03/1933", "1933-09-03", "030933", "3 SEP 1933", "03Sep1933",
        "03.03.1933",  # another day of the year of birth
        "1933", "QX 1933", "4711", "0004711", "HOSP-0004711-8", "ID 4711/8", "ACC20991", "20991", "77120945", "SN88123",
        "21.05.2019", "20190521", "2019-05-21", "01.02.1999",  # any date
        "OKONKWO", "Smith", "ADA", "NORDLICHT", "AWS_QXMUELLER09_1933",
    ],
)  # fmt: skip
def test_what_stands_as_a_word_a_number_or_a_date_is_found(text: str) -> None:
    assert person().found_in(text) == "stands"


@pytest.mark.parametrize(
    "text",
    [
        "QXMUELLER", "MUELLERQX", "M U E L L E R", "MU-EL-LER", "XMÜLLERX", "RELLUM", "RELLEUM", "EVAMUELLER", "OKONKWO1SMITHX",
        "QXOKONKW", "OKONKW", "A4711B9994711", "99047119", "3390339130903391", "X30903391X",
    ],
)  # fmt: skip
def test_what_is_glued_cut_off_spaced_or_backwards_is_found(text: str) -> None:
    assert person().found_in(text) in ("glued", "stands")


@pytest.mark.parametrize(
    "text",
    [
        "HOLOGIC, Inc.", "Selenia Dimensions", "SIEMENS", "MAMMOMAT Revelation", "GE MEDICAL SYSTEMS", "Senographe Pristina",
        "AWS:MAMMODROC_3_4_1_8", "VB30A 1.10.2", "PortableDR", "B30f", "KLINIK", "LINEAR", "Dr", "Aquilion ONE", "DRX-1",
    ],
)  # fmt: skip
def test_words_of_devices_are_left_alone(text: str) -> None:
    assert person().found_in(text) is None


def test_a_word_of_an_identifier_is_shared_and_no_name() -> None:
    assert person().found_in("HOSP 3") == "shared"
    # De-identified sets write the identifier in the place of the name.
    both = person(PatientID="Mass-Training_P_00001_LEFT_CC", PatientName="Mass-Training_P_00001_LEFT_CC")
    assert both.found_in("TRAINING SYSTEM") == "shared"


def test_a_station_and_a_department_are_shared_words_and_the_address_of_a_physician_is_a_name() -> None:
    found = person(
        StationName="ZIMMER2000",
        InstitutionalDepartmentName="Radiology Rosenthal",
        ReferringPhysicianAddress="Kastanienweg 12",
    )
    assert [found.found_in(text) for text in ("Zimmer", "Rosenthal", "RADIOLOGY", "Dim 2000", "Kastanienweg")] == [
        "shared", "shared", None, None, "stands",
    ]  # fmt: skip


def test_placeholders_and_titles_are_nobodys_name() -> None:
    nobody = person(PatientName="ANONYMOUS^Patient", OperatorsName="admin^tech", ReferringPhysicianName="Dr.")
    for text in ("ANONYMOUS", "Hologic tech", "DR 7500", "admin"):
        assert nobody.found_in(text) is None


def test_other_names_of_the_patient_are_read_from_their_sequences() -> None:
    other, ds = Dataset(), Dataset()
    other.PatientID = "ZX-90817"
    ds.OtherPatientIDsSequence = [other]
    request = Dataset()
    request.add_new(0x00321032, "PN", "Requesting^Quentin")
    ds.RequestAttributesSequence = [request]
    for text in ("90817", "QUENTIN"):
        assert identity_of(ds).found_in(text) == "stands"


def test_umlauts_that_a_code_string_cannot_hold_are_read_as_they_were_meant() -> None:
    assert person().found_in("MÜLLER".encode().decode("latin-1")) == "stands"
    assert person(PatientName="Rinxäatu^Ab").found_in("RINXÄATU".encode().decode("latin-1").upper()) is not None


def test_names_in_other_scripts_are_found_as_they_are() -> None:
    assert person(PatientName="Yamada^Taro=山田^太郎").found_in("XR 山田") is not None
    assert person(PatientName="Yamada^Taro=山田^太郎").found_in("YAMADA") == "stands"


def written(name: bytes, charset: str | None) -> Identity:
    ds = Dataset()
    if charset is not None:
        ds.SpecificCharacterSet = charset
    ds._dict[Tag("PatientName")] = RawDataElement(Tag("PatientName"), "PN", len(name), name, 0, False, True)
    return identity_of(ds)


@pytest.mark.parametrize(
    ("name", "encoding", "charset"),
    [
        ("Иванов^Пётр", "utf-8", None), ("山田^太郎", "utf-8", None), ("김^철수", "utf-8", None), ("Jürg^Öz", "utf-8", None),
        ("Кузнецов^Олег", "utf-8", "ISO_IR 100"), ("Сидоров^Семён", "cp1251", None), ("Сидоров^Семён", "koi8-r", "ISO_IR 100"),
        ("Сидоров^Семён", "cp866", None), ("王^小东", "gbk", None), ("王^小東", "big5", None), ("山田^太郎", "shift_jis", None),
        ("山田^太郎", "iso2022_jp", None), ("김^철수", "euc_kr", "ISO_IR 192"),
        ("Παππάς^Νίκος", "cp1253", None), ("כהן^דוד", "cp1255", None),
        ("عمر^خالد", "cp1256", None), ("Łukaś^Żak", "cp1250", "ISO_IR 100"), ("Müller^Eva", "utf-8", "ISO_IR 999"),
        ("Петров^Илья", "utf-8", "ISO_IR 192"), ("Петров^Илья", "iso8859-5", "ISO_IR 144"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, about character sets
def test_a_name_is_found_whatever_character_set_it_is_said_to_have(
    name: str, encoding: str, charset: str | None
) -> None:
    found = written(name.encode(encoding), charset)
    for text in (name.replace("^", " "), *name.split("^")):
        assert found.found_in(text) == "stands", text


def test_a_name_that_was_cut_within_a_character_is_found() -> None:
    assert written("Иванов^Пётр".encode()[:-1], None).found_in("Иванов") == "stands"


def test_letters_that_a_wrong_reading_leaves_are_nobodys_name() -> None:
    found = written("Müller^Jörg".encode(), None)  # MÃ¼ller^JÃ¶rg
    assert [found.found_in(text) for text in ("MA", "JA", "A", "General", "Центр")] == [None] * 5


@pytest.mark.parametrize(
    ("cell", "how"),
    [
        ("nordlicht  KLINIK", "place"), ("Nordlicht", "place"), ("J.D.", "stands"), ("J. Q. D.", "stands"), ("JQD", None),
        ("JD", None), ("D.J.", "stands"), ("A.B.", None), ("12300", "stands"), ("10838", "stands"), ("12301", None), ("X", None),
        ("General Hospital", None), ("Wu", "stands"), ("q7", "stands"), ("Klinikum Aachen", "place"), ("Aachen", None),
        ("Doe, John Quentin", "stands"),
    ],
)  # fmt: skip
def test_a_cell_is_compared_as_a_whole(cell: str, how: str | None) -> None:
    found = person(
        PatientName="Doe^John^Quentin",
        PatientID="Q7",
        ReferringPhysicianName="Wu^X",
        IssuerOfPatientID="Klinikum Aachen",
    )  # born on 3 September 1933: 12300 days, or 10838 from 1904
    assert found.found_in_cell(cell) == how


@pytest.mark.parametrize("name", ["General Hospital", "MGH", "U K"])
def test_an_institution_is_one_however_short_and_common_its_words(name: str) -> None:
    assert person(InstitutionName=name).found_in_cell(name.lower()) == "place"


def test_a_known_term_is_somebody_only_as_a_whole_name() -> None:
    found = person(PatientName="Costa^German")
    assert [found.found_in_cell(text, known=True) for text in ("German Costa", "German", "Costa Rican")] == [
        "stands", None, None,
    ]  # fmt: skip


def test_names_are_read_from_any_sequence_and_from_the_code_of_a_person() -> None:
    ds, step, physician, code = Dataset(), Dataset(), Dataset(), Dataset()
    step.ScheduledPerformingPhysicianName = "Obermair^Kurt"
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "77123", "99X", "Hubertus^Xaver"
    physician.PersonIdentificationCodeSequence = [code]
    ds.ScheduledProcedureStepSequence, ds.PerformingPhysicianIdentificationSequence = [step], [physician]
    found = identity_of(ds)
    for text in ("Obermair", "Hubertus X", "77123", "Kurt"):
        assert found.found_in(text) == "stands", text
    view = Dataset()
    view.ViewCodeSequence = [code]
    assert identity_of(view).found_in("Hubertus") is None


def test_plain_ascii_has_one_reading() -> None:
    assert written(b"Smith^John", None).words == {"SMITH", "JOHN"}


def test_a_measurement_of_five_digits_that_is_an_identifier_is_one() -> None:
    found = person()
    assert found.holds(20991.0)
    assert found.holds(30933.0)
    assert found.holds(1933.0)
    assert not found.holds(4096.0)
    assert not found.holds(47.11)


def test_values_of_any_type_never_raise() -> None:
    for vr, value in (("OB", b"\xff\0"), ("SQ", [Dataset()]), ("LO", ["a", "b"]), ("US", 3), ("DA", "")):
        ds = Dataset()
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "OtherPatientIDsSequence"):
            ds.add_new(keyword, vr, value)
        assert isinstance(identity_of(ds), Identity)


def test_a_message_keeps_its_words_and_loses_those_of_the_header() -> None:
    found = person(PatientName="Window^Eva Is")
    message = (
        "Window Width (0028,1051) is 'QXWINDOW 20991' in window 4711, 3 SEP of EVA-1933 or 03.09.1933; use --voi robust"
    )
    assert found.hidden_in(message) == (
        "Window Width (0028,1051) is '(withheld) (withheld)' in (withheld) 4711, 3 SEP of (withheld) or (withheld); "
        "use --voi robust"
    )


def test_a_word_of_the_standard_is_one_and_each_of_several_values_must_be() -> None:
    assert is_term("body_part", "CHEST")
    assert is_term("grid", "RECIPROCATING\\FOCUSED")
    assert not is_term("grid", "RECIPROCATING\\MUELLER")
    assert not is_term("body_part", "CHEST MUELLER")
    assert not is_term("model", "CHEST")
    assert is_term("body_part", "LEFT HAND")
    assert is_term("view", "AP PORTABLE")
    assert not is_term("body_part", "LEFT HAND MUELLER")
    assert not is_term("grid", "LEFT")
    assert all(words and all(words) for words in TERMS.values())
