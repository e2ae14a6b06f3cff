import pytest

from histoxplain import InputError
from histoxplain.data.groups import choose_groups, groups_from_csv, groups_from_name


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_path_comes_before_name(tmp_path):
    table = write(tmp_path / "t.csv", "file,patient\nbenign/a.png,p1\nmalignant/a.png,p2\nb.png,p3\n")
    group_of = groups_from_csv(table, "patient")
    assert [group_of(id) for id in ("benign/a.png", "malignant/a.png", "x/b.png")] == ["p1", "p2", "p3"]
    assert group_of("other/a.png") is None  # the name alone is ambiguous
    assert group_of("c.png") is None


def test_excels_semicolons_and_byte_order_mark(tmp_path):
    table = tmp_path / "t.csv"
    table.write_bytes("\ufefffile;patient\r\nbenign\\a.png; Müller \r\nb.png;\r\n".encode())
    group_of = groups_from_csv(table, "patient")
    assert group_of("benign/a.png") == "Müller"
    assert group_of("b.png") is None


def test_unknown_column_names_the_nearest(tmp_path):
    table = write(tmp_path / "t.csv", "file,patient\na.png,p1\n")
    with pytest.raises(InputError, match="nearest valid is 'patient'"):
        groups_from_csv(table, "pateint")


@pytest.mark.parametrize("text", ["", "file\n"])
def test_tables_without_the_column(tmp_path, text):
    with pytest.raises(InputError, match="column"):
        groups_from_csv(write(tmp_path / "t.csv", text), "patient")


def test_folder_is_no_table(tmp_path):
    with pytest.raises(InputError, match="CSV"):
        groups_from_csv(tmp_path, "patient")


@pytest.mark.parametrize(
    ("pattern", "group"),
    [(r"person\d+", "person17"), (r"person(\d+)", "17"), (r"(person)(\d+)", "person-17"), (r"slide", None)],
)
def test_pattern_is_searched_in_the_name_only(pattern, group):
    assert groups_from_name(pattern)("slide/person17_virus_3.jpeg") == group


def test_malformed_pattern():
    with pytest.raises(InputError, match="regular expression"):
        groups_from_name("(")


def test_one_way_to_group_is_enough(tmp_path):
    table = write(tmp_path / "t.csv", "file,patient\na.png,p1\n")
    assert choose_groups(None, None, "file", None) is None
    for arguments in [(table, "patient", "file", "x"), (table, None, "file", None), (None, "patient", "file", None)]:
        with pytest.raises(InputError):
            choose_groups(*arguments)
