"""A small body whose every place is known: a box of tissue in air, with a liver to the right and two kidneys behind."""

import nibabel
import numpy as np
import pytest

from histoxplain.data.volumes.volume import Volume

SPACING = (4.0, 4.0, 5.0)
LABELS = {2: "kidney_right", 3: "kidney_left", 5: "liver"}
TABLE = "".join(f'<Label Key="{n}" Red="0"><![CDATA[{name}]]></Label>' for n, name in LABELS.items())


def inside(places, centre, radii):
    return (((places - centre) / radii) ** 2).sum(-1) <= 1


def body_of(shift=0.0, seed=0):
    """Values and labels (X, Y, Z), and their affine: axes run to the right, front and head."""
    shape = (24, 20, 12)
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -46 + shift, -38, 100
    places = np.moveaxis(np.indices(shape), 0, -1) * SPACING + affine[:3, 3]
    labels = np.zeros(shape, dtype=np.uint8)
    labels[inside(places, (20 + shift, 6, 135), (18, 20, 22))] = 5
    labels[inside(places, (14 + shift, -24, 115), (9, 9, 14))] = 2
    labels[inside(places, (-14 + shift, -24, 115), (9, 9, 14))] = 3
    values = np.full(shape, -1000.0)
    values[inside(places, (shift, 0, 127), (44, 36, 999))] = 0
    values[labels > 0] = 100
    return values + np.random.default_rng(seed).normal(0, 5, shape), labels, affine


def save_nifti(path, values, affine, codes="aligned", extension=None):
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, codes)
    image.set_qform(affine, codes)
    if extension:
        text = f"<CaretExtension><LabelTable>{extension}</LabelTable></CaretExtension>"
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, text.encode()))
    nibabel.save(image, path)
    return path


@pytest.fixture
def make_body():
    return body_of


@pytest.fixture
def save():
    return save_nifti


@pytest.fixture
def body():
    values, labels, affine = body_of()
    return Volume(values, affine, "body"), Volume(labels, affine, "labels", LABELS)


@pytest.fixture
def files(tmp_path):
    """Two bodies and their masks as NIfTI."""
    paths = []
    for i, name in enumerate(("ann", "bob")):
        values, labels, affine = body_of(shift=2.0 * i, seed=i)
        volume = save_nifti(tmp_path / f"{name}.nii.gz", np.rint(values).astype(np.int16), affine)
        paths.append((volume, save_nifti(tmp_path / f"{name}_organs.nii.gz", labels, affine, extension=TABLE)))
    return paths
