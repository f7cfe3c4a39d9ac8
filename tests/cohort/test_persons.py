"""One id, one person? Issuers, birth dates, sexes and ages are compared and counted; nothing of them is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastrace.cohort.patients import PatientFile, Patients, read_patients
from fastrace.cohort.persons import PersonFacts, Persons
from fastrace.errors import RejectedInput, UsageError


def seen(*images: PersonFacts) -> Persons:
    persons = Persons()
    for number, said in enumerate(images):
        persons.add(said, f"{number}.dcm")
    return persons


def test_one_id_of_two_issuers_is_asked_and_not_shown() -> None:
    question = seen(PersonFacts("1001", "HOSP_A"), PersonFacts("1001", "HOSP_B"), PersonFacts("7", "HOSP_A")).question(
        lambda _: "f00"
    )
    assert question is not None
    assert "1 Patient IDs (0010,0020) on 2 files have several issuers" in question
    assert "f00 (0.dcm, 1.dcm)" in question
    assert "--patient-from FILE" in question
    assert "1001" not in question
    assert "HOSP" not in question


@pytest.mark.parametrize("other", [None, "", "hosp a", "Hosp_A "])
def test_no_issuer_and_another_spelling_are_no_other_issuer(other: str | None) -> None:
    first = "HOSP A" if other == "hosp a" else "HOSP_A"
    assert seen(PersonFacts("1001", first), PersonFacts("1001", other)).question(str) is None


def test_issuers_do_not_matter_where_the_table_names_the_patient_of_every_image() -> None:
    images = (PersonFacts("1", "A", "p"), PersonFacts("1", "B", "q"))
    assert seen(*images).question(str, by_table=True) is None
    assert seen(*images, PersonFacts("1", "B")).question(str, by_table=True) is not None


def test_a_file_of_three_columns_tells_issuers_apart(tmp_path: Path) -> None:
    file = tmp_path / "persons.csv"
    file.write_text("id,issuer,person\n1001,HOSP A,ann\n1001,hosp_b,john\n7,,eve\n")
    of_file = read_patients(file)
    patients = Patients("file", of_file=of_file)
    assert [patients.of("1001", None, "hosp a"), patients.of("1001", None, "HOSP_B"), patients.of("7", None)] == [
        "ann",
        "john",
        "eve",
    ]
    with pytest.raises(RejectedInput, match=r"with its Issuer of Patient ID \(0010,0021\)"):
        patients.of("1001", None, "HOSP_C")
    assert (of_file.called("1001", "HOSP A"), of_file.called("7", None), of_file.called("8", None)) == (
        "ann",
        "eve",
        "8",
    )
    # A row "1001" of the label table would be about one of the two, and nobody knows which.
    assert [of_file.of_row(cell) for cell in ("1001", "7", "eve", "8", None)] == ["1001", "eve", "eve", "8", None]


@pytest.mark.parametrize("row", ["a", "a,b,c,d"])
def test_a_file_of_another_number_of_columns_is_refused(tmp_path: Path, row: str) -> None:
    (tmp_path / "persons.csv").write_text(f"{row}\n{row}\n")
    with pytest.raises(UsageError, match=r"expected two .* or three"):
        read_patients(tmp_path / "persons.csv")


def test_headers_of_one_patient_with_other_birth_dates_or_sexes_are_counted() -> None:
    persons = seen(
        *(PersonFacts("born twice", birth_day=day) for day in (1, 2)),
        *(PersonFacts("both", sex=sex, birth_day=3) for sex in "MF"),
        *(PersonFacts("one", sex=sex, birth_day=4) for sex in ("F", "F", "O", None)),
        *(PersonFacts(name, birth_day=day) for name, day in (("two ids", 5), ("of one", 6))),
    )
    assert persons.doubts(Patients()).other_birth_or_sex == 2
    one = {(name, ""): "same" for name in ("two ids", "of one")}
    assert persons.doubts(Patients("file", of_file=PatientFile(one))).other_birth_or_sex == 3
    assert persons.doubts(Patients()).lines() == [
        "2 Patient IDs have headers with different birth dates or sexes: is each one person?"
    ]


def test_sex_and_age_of_table_and_header_are_compared_by_patient_with_the_nearest_study() -> None:
    persons = seen(
        PersonFacts("same", sex="F", age=40.0, table_sex="F", table_age=41.9),
        *(
            PersonFacts("years of studies", sex="M", age=age, table_sex="M", table_age=50.0)
            for age in (40.0, 51.0, 60.0)
        ),
        PersonFacts("other", sex="F", age=30.0, table_sex="M", table_age=71.0),
        PersonFacts("old", age=97.0, table_age=90.0),
        PersonFacts("not both", sex="F", table_age=3.0),
        PersonFacts("no sex", sex="O", table_sex="M"),
    )
    doubts = persons.doubts(Patients())
    assert (doubts.sex_compared, doubts.sex_differs, doubts.age_compared, doubts.age_differs) == (3, 1, 4, 1)
    assert doubts.lines("table") == [
        "sex of 1 of 3 patients, age of 1 of 4 patients (by more than 2 years) differs between header and table: "
        "the table's is kept"
    ]
    assert not doubts.other_table


@pytest.mark.parametrize(
    ("patients", "differ", "stops"), [(9, 9, False), (10, 5, False), (10, 6, True), (99, 50, True)]
)
def test_most_of_ten_patients_that_differ_are_a_reason_to_stop(patients: int, differ: int, stops: bool) -> None:
    images = [PersonFacts(f"p-{n}", sex="F", table_sex="M" if n < differ else "F") for n in range(patients)]
    assert seen(*images).doubts(Patients()).other_table is stops


def test_spellings_that_the_table_alone_has_are_no_matter_of_the_headers() -> None:
    assert seen(PersonFacts(None, table="P1"), PersonFacts(None, table="p1")).doubts(Patients()).alike == 0


def test_ids_that_differ_in_zeros_or_case_alone_are_hinted_at() -> None:
    doubts = seen(*(PersonFacts(name) for name in ("00123", "123", "abc", "ABC", "a b", "A-B", "7", "7.0"))).doubts(
        Patients()
    )
    assert doubts.alike == 6
    assert doubts.lines()[0].startswith(
        "6 Patient IDs differ from another one in leading zeros, '.0' or upper and lower case alone"
    )


@pytest.mark.parametrize(
    "lines",
    [
        "ID_s,ID_s\nID_i,ID_2\n",
        "ID_s,Doe\nID_i,ID_i\n",
        "1001,ann\n1002,eve\n",
        "id,Doe\n1,2\n",
        "7,HOSP,Doe\n8,HOSP,eve\n",
    ],
)
def test_a_file_of_patients_that_begins_with_a_row_is_refused_without_its_cells(tmp_path: Path, lines: str) -> None:
    """Its first person was taken for the names of the columns."""
    (tmp_path / "persons.csv").write_text(lines)
    with pytest.raises(UsageError) as error:
        read_patients(tmp_path / "persons.csv")
    said = str(error.value).replace(str(tmp_path), "")
    assert "first line does not name" in said or "have the same name" in said
    assert not any(cell in said for cell in ("ID_s", "Doe", "1001", "ann", "HOSP"))


@pytest.mark.parametrize("names", ["id,patient", "PatientID,person", "Patient ID,subject_id", "header,participant"])
def test_a_file_of_patients_may_call_its_columns_in_usual_words(tmp_path: Path, names: str) -> None:
    (tmp_path / "persons.csv").write_text(f"{names}\n1,ann\n")
    assert read_patients(tmp_path / "persons.csv").of("1", None) == "ann"
