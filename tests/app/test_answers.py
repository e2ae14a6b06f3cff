import pytest

from histoxplain._checks import InputError
from histoxplain.app import answer, example_picture, maps_for, read_picture, ways_for
from histoxplain.app.answers import opinion
from histoxplain.app.words import plain


def test_only_what_a_bundle_can_do_is_offered(bundle, shelf):
    assert list(ways_for(bundle)) == ["latent", "style", "pixels"]
    assert list(ways_for(shelf.take("undrawn"))) == ["pixels"]
    assert "grad-cam" not in maps_for(bundle)  # no layer of that classifier has a map


def test_the_answer_is_what_the_library_says_and_its_report_can_be_made_again(bundle, picture_file):
    picture = read_picture(picture_file("red tile.png"), bundle)
    assert max(opinion(bundle, picture).items(), key=lambda one: one[1])[0] == "red"
    heard = []
    found = answer(bundle, picture, "medium", count=2, seed=5, maps=["occlusion"], tell=lambda *how: heard.append(how))
    e = found.explanation
    assert e.valid.all()
    assert e.measurements is not None
    assert [one.method for one in found.maps] == ["occlusion"]
    command = (
        "histoxplain explain 'red tile.png' --bundle paint --target medium --count 2 --method latent --seed 5 --fit"
    )
    assert f"<code>{command.replace(chr(39), '&#x27;')}</code>" in found.report
    assert "What speaks for red?" in found.report
    assert [share for share, _ in heard] == sorted(share for share, _ in heard)
    assert heard[0][1] == "Looking for 2 changes"


def test_the_command_of_an_example_draws_the_same_image(bundle):
    from histoxplain.explain import generate_pairs

    picture = example_picture(bundle, "red", seed=3)
    report = answer(bundle, picture, "dark").report
    assert "histoxplain explain --generated 1 --bundle paint --target dark --count 1 --method latent --seed 3" in report
    drawn = generate_pairs(bundle, 1, 3, "dark")
    assert drawn.ws[drawn.sources.index(2)].equal(picture.sample[0])


def test_questions_without_sense(bundle, shelf, picture_file):
    picture = read_picture(picture_file("g.png"), bundle)
    for given, words in {
        ("red", "latent", 1): "another class than the classifier's own",
        ("rde", "latent", 1): "nearest valid is 'red'",
        ("dark", "cyclegan", 1): "`method` must be one of latent, style, pixels",
        ("dark", "latent", 7): "`count` must be at most 6",
        ("dark", "latent", 0): "`count` must be at least 1",
    }.items():
        with pytest.raises(InputError) as caught:
            answer(bundle, picture, *given)
        assert words in str(caught.value)
    with pytest.raises(InputError, match="choose the image again"):
        answer(shelf.take("undrawn"), picture)


def test_messages_are_plain():
    error = InputError("`image` must be a readable image, got /srv/a b/c.png; see /srv/models/x.safetensors.")
    assert "/srv" not in plain(error)
    assert plain(InputError("`count` must be at most 6, got 7; ask for `6`.")) == (
        "The count must be at most 6, got 7; ask for 6."
    )
