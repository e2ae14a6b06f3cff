"""Published layouts, as folders and as archives."""

import shutil

import pytest

from histoxplain import InputError
from histoxplain.data import open_source, prepare
from histoxplain.data.layouts import read_layout
from histoxplain.data.naming import labels_from_name, relabel
from histoxplain.data.tree import Tree

NCT = {f"NCT-CRC-HE-100K/{c}/{c}-{i}.tif": (f"{c}/{c}-{i}.tif", c, None, None) for c in ("ADI", "TUM") for i in "AB"}
LC25000 = {
    f"lung_colon_image_set/{organ}_image_sets/{organ}_{kind}/{organ}{kind}{i}.jpeg": (
        f"{organ}_image_sets/{organ}_{kind}/{organ}{kind}{i}.jpeg",
        f"{organ}_{kind}",
        None,
        None,
    )
    for organ, kind in (("colon", "n"), ("lung", "n"), ("lung", "scc"))
    for i in (1, 2)
}
CHEST = {
    f"chest_xray/{split}/{name}": (
        f"{split}/{name}",
        name.split("/")[0],
        group,
        {"val": "validation"}.get(split, split),
    )
    for split, name, group in (
        ("train", "NORMAL/IM-0115-0001.jpeg", "IM-0115"),
        ("train", "PNEUMONIA/person17_virus_3.jpeg", "person17"),
        ("train", "PNEUMONIA/person17_bacteria_4.jpeg", "person17"),
        ("val", "NORMAL/NORMAL2-IM-1427-0001.jpeg", "IM-1427"),
        ("test", "PNEUMONIA/person1_virus_6.jpeg", "person1"),
    )
}
BIRDS = {
    f"CUB_200_2011/images/{name}": (name, name.split("/")[0], None, split)
    for name, split in (
        ("001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.jpg", "test"),
        ("001.Black_footed_Albatross/Black_Footed_Albatross_0002_55.jpg", "train"),
        ("200.Common_Yellowthroat/Common_Yellowthroat_0003_190521.jpg", "train"),
    )
}
EXTRAS = {
    "NCT": {"NCT-CRC-HE-100K/.DS_Store": "", "__MACOSX/NCT-CRC-HE-100K/ADI/._ADI-A.tif": ""},
    "BIRDS": {
        "CUB_200_2011/README": "",
        "CUB_200_2011/images.txt": "".join(f"{i + 1} {row[0]}\n" for i, row in enumerate(BIRDS.values())),
        "CUB_200_2011/image_class_labels.txt": "1 1\n2 1\n3 200\n",
        "CUB_200_2011/classes.txt": "1 001.Black_footed_Albatross\n200 200.Common_Yellowthroat\n",
        "CUB_200_2011/train_test_split.txt": "1 0\n2 1\n3 1\n",
        "CUB_200_2011/parts/parts.txt": "1 back\n",
    },
}
LAYOUTS = {"NCT": NCT, "LC25000": LC25000, "CHEST": CHEST, "BIRDS": BIRDS}


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path, make_picture):
    root, expected = tmp_path / "published", LAYOUTS[request.param]
    for i, name in enumerate(expected):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        make_picture(i, (16, 16)).save(root / name)
    for name, text in EXTRAS.get(request.param, {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root, sorted(expected.values())


def known(source):
    names = [source.class_names[label] for label in source.labels]
    return sorted(zip(source.ids, names, source.groups, source.splits))


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_prepared_as_published(layout, tmp_path, form):
    root, expected = layout
    inner = next(path for path in root.iterdir() if not path.name.startswith("_"))
    source = shutil.make_archive(str(tmp_path / "a"), "zip", root) if form == "zip" else inner
    report = prepare(source, tmp_path / "a.lmdb", 16, progress=False)
    found = known(open_source(tmp_path / "a.lmdb"))
    if expected[0][3] is None:  # no split was published, so one was made
        assert report.fractions
        found = [(*row[:3], None) for row in found]
    assert found == expected
    if form == "zip":
        assert len(open_source(source)) == len(expected)


def test_layouts_inside_a_wrapping_folder(layout, tmp_path):
    root, expected = layout
    if expected[0][3] is not None:
        prepare(root, tmp_path / "a.lmdb", 16, progress=False)
        assert known(open_source(tmp_path / "a.lmdb")) == expected


def test_groups_that_a_published_split_tears_are_named(tmp_path, make_picture):
    for split in ("train", "test"):
        (tmp_path / "chest_xray" / split / "PNEUMONIA").mkdir(parents=True)
        (tmp_path / "chest_xray" / split / "NORMAL").mkdir()
        make_picture().save(tmp_path / "chest_xray" / split / "PNEUMONIA" / "person1_virus_6.jpeg")
        make_picture().save(tmp_path / "chest_xray" / split / "NORMAL" / f"IM-{split.count('t')}-1.jpeg")
    report = prepare(tmp_path / "chest_xray", tmp_path / "a.lmdb", 16, progress=False)
    assert any(note.startswith("1 groups stand in more than one") for note in report.notes)
    report = prepare(tmp_path / "chest_xray", tmp_path / "b.lmdb", 16, fractions=(1, 1, 1), progress=False)
    assert not any("more than one" in note for note in report.notes)


def test_a_single_class_folder_stays_a_class(tmp_path, make_picture):
    (tmp_path / "source" / "benign" / "slide1").mkdir(parents=True)
    make_picture().save(tmp_path / "source" / "benign" / "slide1" / "a.png")
    prepare(tmp_path / "source", tmp_path / "a.lmdb", 16, progress=False)
    assert open_source(tmp_path / "a.lmdb").class_names == ("benign",)


def test_dataset_json_of_somebody_else(tmp_path, make_picture):
    (tmp_path / "source" / "benign").mkdir(parents=True)
    make_picture().save(tmp_path / "source" / "benign" / "a.png")
    (tmp_path / "source" / "dataset.json").write_text('["anything"]')
    prepare(tmp_path / "source", tmp_path / "a.lmdb", 16, progress=False)
    assert open_source(tmp_path / "a.lmdb").class_names == ("benign",)
    (tmp_path / "source" / "dataset.json").write_text("{")
    with pytest.raises(InputError, match=r"`dataset\.json` must be JSON"):
        prepare(tmp_path / "source", tmp_path / "b.lmdb", 16, progress=False)


CHEST_NAMES = {
    "NORMAL": ("IM-0115-0001.jpeg", "NORMAL2-IM-0588-0001.jpeg", "NORMAL2-IM-0588-0001-0002.jpeg"),
    "PNEUMONIA": ("person1_bacteria_1.jpeg", "person1_bacteria_2.jpeg", "person7_virus_9_2.jpeg"),
}


@pytest.fixture
def chest(tmp_path, make_picture):
    """The paediatric chest X-rays without folders for their splits, as they are often passed on."""
    for i, (kind, name) in enumerate((kind, name) for kind, names in CHEST_NAMES.items() for name in names):
        (tmp_path / "chest" / kind).mkdir(parents=True, exist_ok=True)
        make_picture(i, (16, 16)).save(tmp_path / "chest" / kind / name)
    return tmp_path / "chest"


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_chest_xrays_without_split_folders_are_grouped_by_patient(chest, tmp_path, form):
    source = shutil.make_archive(str(tmp_path / "a"), "zip", chest.parent, "chest") if form == "zip" else chest
    report = prepare(source, tmp_path / "a.lmdb", 16, progress=False)
    found = open_source(tmp_path / "a.lmdb")
    assert dict(zip([id.split("/")[-1] for id in found.ids], found.groups)) == {
        "IM-0115-0001.jpeg": "IM-0115",
        "NORMAL2-IM-0588-0001.jpeg": "IM-0588",
        "NORMAL2-IM-0588-0001-0002.jpeg": "IM-0588",
        "person1_bacteria_1.jpeg": "person1",
        "person1_bacteria_2.jpeg": "person1",
        "person7_virus_9_2.jpeg": "person7",
    }
    assert len({split for group, split in zip(found.groups, found.splits) if group == "IM-0588"}) == 1
    assert not any("no groups" in note for note in report.notes)
    if form == "folder":  # as `train classifier` would split it, unprepared
        assert dict(zip(open_source(chest).ids, open_source(chest).groups)) == dict(zip(found.ids, found.groups))


def test_scans_that_some_program_numbered_are_not_patients(tmp_path, make_picture):
    for kind in ("a", "b"):
        (tmp_path / "source" / kind).mkdir(parents=True)
        for i in range(2):
            make_picture(i, (16, 16)).save(tmp_path / "source" / kind / f"IM-0001-000{i}.png")
    prepare(tmp_path / "source", tmp_path / "a.lmdb", 16, progress=False)
    assert open_source(tmp_path / "a.lmdb").groups == [None] * 4


def test_classes_by_name(chest, tmp_path):
    label_of = labels_from_name("bacteria|virus")
    prepare(chest, tmp_path / "a.lmdb", 16, label_of=label_of, fractions=(1, 0, 0), progress=False)
    found = open_source(tmp_path / "a.lmdb")
    assert found.class_names == ("NORMAL", "bacteria", "virus")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 2]
    assert set(found.groups) == {"IM-0115", "IM-0588", "person1", "person7"}
    # from prepared data as well
    prepare(tmp_path / "a.lmdb", tmp_path / "b.lmdb", 16, label_of=labels_from_name("person"), progress=False)
    assert open_source(tmp_path / "b.lmdb").class_names == ("NORMAL", "person")
    with pytest.raises(InputError, match="`label_regex` must match some file names"):
        prepare(chest, tmp_path / "c.lmdb", 16, label_of=labels_from_name("fungus"), progress=False)
    with pytest.raises(InputError, match="regular expression"):
        labels_from_name("(")


def test_the_published_chest_xrays(shared, tmp_path):
    tree = Tree.of_folder(shared / "data" / "chest_xray")
    table = read_layout(tree)
    assert len(table.rows) == 5216
    assert len({row.group for row in table.rows}) == 2635  # no image is without a patient
    assert None not in {row.group for row in table.rows}
    rows, names = relabel(table.rows, table.class_names, labels_from_name("bacteria|virus"))
    assert names == ["NORMAL", "bacteria", "virus"]
    assert [sum(row.label == k for row in rows) for k in range(3)] == [1341, 2530, 1345]
