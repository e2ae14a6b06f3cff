"""Sheets of concepts, made by hand."""

import pytest
import torch

from histoxplain import InputError
from histoxplain.explain import ConceptExample, ConceptShown, Film, RankedConcept
from histoxplain.viz import class_colours, concept_sheet, image_concepts_sheet

NAMES = ("dark", "red")


def shown(name, weight, factors=(1.0, 4.0), images=2, target="red"):
    p = torch.linspace(0.2, 0.9, len(factors))
    frames = torch.zeros(len(factors), 3, 8, 8)
    film = Film(frames, torch.tensor(factors), torch.stack([1 - p, p], 1), NAMES, 0, 1)
    map, opinion = torch.arange(64.0).reshape(8, 8), torch.tensor([0.75, 0.25])
    examples = [
        ConceptExample(f"slides/tile-{i}.png", torch.zeros(3, 8, 8), opinion, 2.5, map * (i + 1), film)
        for i in range(images)
    ]
    return ConceptShown(RankedConcept(0, name, 1.25, 2.5, weight, 1.0), target, tuple(examples))


def test_a_row_says_name_class_and_weight():
    figure = concept_sheet([shown("air", 3.0), shown("nuclei in rows", -0.5, target="dark")])
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words == [
        "air",
        "red\nweight +3.00\nimportance +1.25",
        "nuclei in rows",
        "dark\nweight -0.50\nimportance +1.25",
    ]
    pictures = [axes for axes in figure.axes if axes.images]
    assert len(pictures) == 2 * 2 * 4  # rows, images, and of each the image, where, redrawn, amplified
    assert [axes.get_title() for axes in pictures[:4]] == ["tile-0.png", "where", "redrawn", "x 4"]
    assert [axes.get_xlabel() for axes in pictures[:4]] == ["dark 75%", "2.5 of it", "dark 80%", "red 90%"]
    assert pictures[3].xaxis.label.get_color() == class_colours(NAMES)["red"]
    # colours of a row compare: the first image has half as much of it as the second, and so is less yellow
    half, full = (axes.images[0].get_array()[-1, -1] for axes in (pictures[1], pictures[5]))
    assert full[0] - int(full[2]) > half[0] - int(half[2])


def test_a_sheet_of_one_image():
    rows = [shown(name, 1.0, (0.0, 1.0, 2.0), images=1) for name in ("air", "nuclei")]
    pictures = [axes for axes in image_concepts_sheet(rows).axes if axes.images and axes.get_visible()]
    assert len(pictures) == 5 + 4  # the image itself stands there once
    assert [axes.get_title() for axes in pictures[:5]] == ["tile-0.png", "where", "without", "redrawn", "x 2"]
    assert pictures[5].get_title() == ""


def test_nothing_to_show():
    for sheet in (concept_sheet, image_concepts_sheet):
        with pytest.raises(InputError, match="at least one concept"):
            sheet([])
