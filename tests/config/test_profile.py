"""Parameters: one list of names, checked; an unknown one names its nearest neighbour."""

import dataclasses
import json

import pytest
import yaml

from ddoq_core.config.files import PROFILES, find_profile
from ddoq_core.config.profile import Profile, parse_assignment, read_profile
from ddoq_core.errors import InputError


def test_the_laptop_profile_is_the_defaults():
    assert Profile.load("laptop") == Profile()


def test_the_laptop_profile_names_every_knob_but_perhaps_a_methods_own():
    shared = {name for name, knob in Profile.knobs().items() if not knob.metadata["methods"]}
    assert shared <= set(read_profile(find_profile("laptop"))) <= set(Profile.knobs())


def test_a_knob_in_the_file_of_a_method_shapes_that_method():
    knobs = Profile.knobs()
    assert knobs["rded_images"].metadata["methods"] == ("rded",) and knobs["weights"].metadata["methods"] == ("ddoq",)
    assert knobs["inversion_rate"].metadata["methods"] == ("sre2l", "cda")


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_profile_is_valid_and_carries_its_own_name(path):
    assert Profile.load(path).profile == path.stem == Profile.load(path.stem).profile


@pytest.mark.parametrize("name", Profile.knobs())
def test_every_knob_says_what_it_means_and_its_default_is_valid(name):
    knob = Profile.knobs()[name]
    assert knob.metadata["meaning"]
    assert Profile.of({name: getattr(Profile(), name)}) == Profile()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"guidence_scale": 2.0}, "unknown parameter 'guidence_scale'.*did you mean 'guidance_scale'"),
        ({"ipc": {}}, "ipc = {}, but it must be a whole number"),
        ({"ipc": "[1, many]"}, "ipc = 'many', but it must be a whole number"),
        ({"ipc": []}, "ipc = .*not empty"),
        ({"ipc": [0]}, "ipc = 0, but it must be at least 1"),
        ({"ipc": [2.5]}, "ipc = 2.5, but it must be a whole number"),
        ({"epochs": "many"}, "epochs = 'many', but it must be a whole number"),
        ({"epochs": True}, "epochs = True, but it must be a whole number"),
        ({"strength": 1.2}, "strength = 1.2, but it must be at most 1"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"quantizer": "loyd"}, "quantizer = 'loyd', but it must be one of .*did you mean 'lloyd'"),
        ({"flip": 1}, "flip = 1, but it must be true or false"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_thing_and_the_mend(values, words):
    with pytest.raises(InputError, match=words) as caught:
        Profile.of(values)
    assert "\n" not in str(caught.value)


NUMBERS = [name for name, knob in Profile.knobs().items() if knob.type in (int, float, list[int], str | float)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", [".inf", "-.inf", ".nan", "1.0e+999", "1" + 400 * "0"])
def test_every_knob_that_is_a_number_is_finite(name, text):
    value = parse_assignment(f"{name}={text}")[1]
    with pytest.raises(InputError, match=f"{name} = .*but it must be") as caught:
        Profile.of({name: [value] if isinstance(getattr(Profile(), name), list) else value})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 120


def test_a_profile_file_cannot_hold_what_is_not_finite(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("weights: .inf\n")
    with pytest.raises(InputError, match="weights = inf, but it must be a finite number"):
        Profile.load(path)


@pytest.mark.parametrize("text", ["1" * 5000, "2024-13-45"])
def test_a_value_that_yaml_takes_for_a_number_or_date_and_cannot_read_is_one_line(tmp_path, text):
    with pytest.raises(InputError, match=r"seed = .*, but it must be a") as caught:
        Profile.of(dict([parse_assignment(f"seed={text}")]))
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)
    (tmp_path / "bad.yaml").write_text(f"seed: {text}\n")
    with pytest.raises(InputError, match=r"bad\.yaml"):
        Profile.load(tmp_path / "bad.yaml")


LISTS = {name: getattr(Profile(), name) for name, knob in Profile.knobs().items() if str(knob.type).startswith("list")}


@pytest.mark.parametrize("name", LISTS)
def test_what_stands_twice_in_a_list_is_refused_and_never_counted_twice(tmp_path, name):
    first, text = LISTS[name][0], ", ".join(map(str, [*LISTS[name], LISTS[name][0]]))
    (tmp_path / "mine.yaml").write_text(f"{name}: [{text}]\n")
    ways = (
        lambda: Profile.of(dict([parse_assignment(f"{name}=[{text}]")])),
        lambda: Profile.load(tmp_path / "mine.yaml"),
        lambda: Profile().replace(**{name: [*LISTS[name], first]}),
    )
    for way in ways:
        with pytest.raises(InputError, match=rf"{name} = \[.*\], but it has {first} twice; give it once"):
            way()


def test_a_value_that_is_written_in_two_ways_stands_there_twice():
    with pytest.raises(InputError, match=r"ipc .* it has 10 twice"):
        Profile.of(dict([parse_assignment("ipc=[10, 0xa]")]))


def test_weights_are_a_name_or_an_exponent():
    assert Profile.of({"weights": 0.5}).weights == 0.5
    assert Profile.of({"weights": "sqrt"}).weights == "sqrt"
    with pytest.raises(InputError, match="weights"):
        Profile.of({"weights": "squareroot"})


@pytest.mark.parametrize(
    ("field", "value"), [("methods", ["dd0q"]), ("students", ["convent-32"]), ("targets", ["sofft"])]
)
def test_a_bad_name_in_a_list_is_told_before_any_work(field, value):
    with pytest.raises(InputError, match=f"{field} = '{value[0]}'"):
        Profile.of({field: value})


def test_an_unknown_profile_suggests_the_nearest():
    with pytest.raises(InputError, match="unknown profile 'labtop'; did you mean 'laptop'"):
        Profile.load("labtop")


def test_a_profile_file_with_an_unknown_name_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"profile": "mine", "guidence_scale": 3}))
    with pytest.raises(InputError, match=r"'guidence_scale' in profile mine\.yaml; did you mean 'guidance_scale'"):
        Profile.load(path)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1,", "", "\x00"])
def test_a_file_that_is_no_profile_is_one_line(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.yaml") as caught:
        Profile.load(path)
    assert "\n" not in str(caught.value)


def test_an_assignment_is_a_name_and_the_text_of_a_value():
    assert parse_assignment("ipc=[1,10]") == ("ipc", "[1,10]")
    assert parse_assignment("negative_prompt=a=b: c # d") == ("negative_prompt", "a=b: c # d")
    assert parse_assignment('data_root="my birds"') == ("data_root", "my birds")
    with pytest.raises(InputError, match="not name=value"):
        parse_assignment("strength")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ipc", "[1,10]", [1, 10]),
        ("ipc", "10", [10]),
        ("methods", "ddoq", ["ddoq"]),
        ("methods", "[d4m, ddoq]", ["d4m", "ddoq"]),
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", "2", 2.0),
        ("epochs", "3", 3),
        ("flip", "true", True),
        ("weights", "0.5", 0.5),
        ("weights", "5e-1", 0.5),
        ("data_root", "2024", "2024"),  # a folder may be called so
        ("data_root", "~/photographs", "HOME/photographs"),
        ("negative_prompt", "blurry: yes", "blurry: yes"),
    ],
)
def test_the_type_of_the_knob_decides_what_a_text_means(name, text, value, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = value.replace("HOME", str(tmp_path)) if isinstance(value, str) else value
    assert getattr(Profile.of({name: text}), name) == expected
    file = tmp_path / "mine.yaml"
    file.write_text(f"{name}: {json.dumps(text)}\n")  # and so in a file, quoted or not
    assert getattr(Profile.load(file), name) == expected


def test_in_a_file_a_number_may_be_written_as_yaml_does_not_read_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("learning_rate: 1e-3\nipc: 10\nartifacts: ~/kept\n")
    profile = Profile.load("~/mine.yaml")
    assert profile.learning_rate == 1e-3 and profile.ipc == [10] and profile.artifacts == f"{tmp_path}/kept"


def test_a_profile_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Profile().epochs = 3


def test_images_per_class_with_hard_labels_follow_the_largest_unless_they_are_set(tmp_path):
    assert Profile.load("laptop").hard_ipc == Profile().hard_ipc == [10]
    assert Profile.load("laptop", {"ipc": "[2, 5]"}).hard_ipc == Profile.of({"ipc": [5, 2]}).hard_ipc == [5]
    assert Profile.load("laptop", {"ipc": [2], "hard_ipc": "[1, 2]"}).hard_ipc == [1, 2]
    assert Profile.of({"ipc": [3], "hard_ipc": "[]"}).hard_ipc == [3] and Profile.of({"hard_ipc": []}) == Profile()
    assert Profile.load("table").replace(ipc=[3]).hard_ipc == [1, 10, 50]
    (tmp_path / "mine.yaml").write_text("profile: mine\nipc: [1, 7]\n")
    assert Profile.load(tmp_path / "mine.yaml").hard_ipc == [7]
