"""Soft labels in fewer bytes: what is kept is exact, what is not is spread or rounded; a file has the bytes told."""

import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.methods.random_real import random_real
from ddoq_core.pipeline.label_forms import LabelForm, label_bytes
from ddoq_core.pipeline.relabel import check_labels, relabel, stored_logits
from ddoq_core.pipeline.teacher import teacher as make_teacher
from ddoq_core.pipeline.train_student import train
from ddoq_core.randomness import torch_rng

T = 20.0
FORMS = {"float16": LabelForm(), "topk": LabelForm("topk", 5, T), "int8": LabelForm("int8")}


def logits(n: int = 40, classes: int = 100) -> torch.Tensor:
    return (4 * torch.randn(n, classes, generator=torch_rng(0, "logits"))).half()


def back(form: LabelForm, z: torch.Tensor) -> torch.Tensor:
    return form.logits(form.packed(z), torch.arange(len(z)), z.shape[1]).float()


def test_the_largest_logits_are_exact_and_the_rest_keep_their_probability_at_the_students_temperature():
    z, found = logits(), back(FORMS["topk"], logits())
    classes = z.float().topk(5, dim=1).indices
    assert found.gather(1, classes).equal(z.float().gather(1, classes))
    mine, whole = ((of / T).softmax(1).gather(1, classes).sum(1) for of in (found, z.float()))
    torch.testing.assert_close(mine, whole, rtol=2e-3, atol=0)
    others = found.scatter(1, classes, torch.nan)
    assert all(len(row[row.isfinite()].unique()) == 1 for row in others)  # spread evenly


def test_with_as_many_as_there_are_classes_all_logits_are_kept():
    z = logits(classes=4)
    assert back(LabelForm("topk", 10, T), z).equal(z.float())


def test_eight_bits_are_right_to_half_a_step_and_at_the_ends():
    z = logits()
    found, span = back(FORMS["int8"], z), z.float().amax(1) - z.float().amin(1)
    assert ((found - z.float()).abs().amax(1) <= span / 255 / 2 * 1.001).all()
    assert found.amax(1).equal(z.float().amax(1)) and found.amin(1).equal(z.float().amin(1))
    flat = torch.full((3, 7), 2.5).half()  # a teacher that tells no class apart
    assert back(FORMS["int8"], flat).equal(flat.float())


@pytest.mark.parametrize("name", FORMS)
def test_a_row_has_the_bytes_that_are_told(name):
    z = logits()
    packed = FORMS[name].packed(z)
    assert sum(t.numel() * t.element_size() for t in packed.values()) == label_bytes(40, 100, 1, FORMS[name])


def test_the_papers_labels_at_ten_images_per_class_are_6_gigabytes_3_or_126_megabytes():
    sizes = [label_bytes(10_000, 1000, 300, form) for form in (LabelForm(), LabelForm("int8"), LabelForm("topk", 10))]
    assert sizes == [6_000_000_000, 3_012_000_000, 126_000_000]


@pytest.fixture
def made(store, squares, tiny):
    profile = tiny.replace(epochs=3)
    return random_real(store, squares, profile, ipc=3, distill_seed=0), make_teacher(store, squares, profile), profile


@pytest.mark.parametrize("knobs", [{"label_form": "int8"}, {"label_form": "topk", "label_top": 1}])
def test_a_student_is_trained_on_what_was_kept(store, squares, made, knobs):
    distilled, judge, whole = made
    profile = whole.replace(**knobs)
    labels = relabel(store, distilled, squares, judge, profile, label_seed=0)
    exact = relabel(store, distilled, squares, judge, whole, label_seed=0)
    assert labels.key != exact.key
    rows = torch.arange(9)
    kept, full = (stored_logits(of, 9, 3, 1)(rows).float() for of in (labels, exact))
    assert not kept.equal(full) and (kept.argmax(1) == full.argmax(1)).all()
    how = {"student": "convnet-4", "target": "soft", "weights": "uniform", "student_seed": 0, "label_seed": 0}
    assert train(store, distilled, squares, judge, labels, profile, **how).json("result.json")["n_test"] == 18


def test_labels_of_another_form_or_temperature_are_refused(store, squares, made):
    distilled, judge, whole = made
    profile = whole.replace(label_form="topk", label_top=2)
    labels = relabel(store, distilled, squares, judge, profile, label_seed=0)
    check_labels(labels, distilled, profile, 0)
    for change, words in (({"label_top": 1}, "label_top = 2, not 1"), ({"temperature": 4.0}, r"temperature = 20\.0")):
        with pytest.raises(InputError, match=words):
            check_labels(labels, distilled, profile.replace(**change), 0)
    with pytest.raises(InputError, match="label_form = topk, not None"):
        check_labels(labels, distilled, whole, 0)
    exact = relabel(store, distilled, squares, judge, whole, label_seed=0)
    check_labels(exact, distilled, whole.replace(temperature=4.0), 0)  # float16 serves every temperature
