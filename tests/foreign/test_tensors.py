"""`images_best.pt` and its kind: read as weights only, with its labels and its rate, and brought back to pixels."""

import dataclasses
import itertools
import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from ddoq_core import cli
from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.foreign import protocols
from ddoq_core.foreign.protocols import evaluate_folder
from ddoq_core.foreign.tensors import NORMALISED, read_foreign_tensors
from ddoq_core.pipeline.lessons import Lessons
from ddoq_core.randomness import numpy_rng
from ddoq_core.runs.run import Run

from ..theirs import IPC, SIZE, N, grey, said

MEAN, STD = 0.3, 0.2
CLASSES = torch.arange(N).repeat_interleave(IPC)


def levels() -> torch.Tensor:
    """Images of 8 bits, class by class, each of one grey that says which it is."""
    flat = torch.tensor([grey(c, k) for c in range(N) for k in range(IPC)], dtype=torch.uint8)
    return flat.view(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE).contiguous()


def normalised() -> torch.Tensor:
    return (levels().float() / 255 - MEAN) / STD


@pytest.fixture
def published(tmp_path, store, birds):
    """`published(images, labels, lr)` saves these files as MTT and its kind do, and reads them."""

    def read(images, labels=None, lr=None, name="images_best.pt", scale=((MEAN,), (STD,)), dataset=birds):
        root = tmp_path / "theirs"
        root.mkdir(exist_ok=True)
        for word, tensor in (("images", images), ("labels", labels), ("lr", lr)):
            if tensor is not None:
                torch.save(tensor, root / name.replace("images", word))
        return read_foreign_tensors(store, root / name, dataset, *scale)

    return read


def test_images_come_back_to_the_pixels_that_they_were_normalised_from(published):
    found = published(normalised().requires_grad_(), CLASSES)
    assert torch.equal(found.distilled.pixels(), levels()) and not found.soft
    assert torch.equal(found.distilled.labels, CLASSES) and found.distilled.ipc == IPC
    assert "de-normalised by mean [0.3] and deviation [0.2], given; 0.0 %" in said(found, "scale")
    assert said(found, "labels") == "labels: hard"
    assert said(found, "images") == "images: 2 of each of 11 classes, 16 x 16 pixels"


def test_without_options_mean_and_deviation_are_those_of_the_published_programs(published, birds):
    dataset = dataclasses.replace(birds, name="mnist")
    (mean,), (std,) = NORMALISED["mnist"]
    found = published((levels().float() / 255 - mean) / std, CLASSES, scale=(), dataset=dataset)
    assert torch.equal(found.distilled.pixels(), levels())
    assert "mean [0.1307] and deviation [0.3081], of mnist in those programs; no ZCA" in said(found, "scale")


@pytest.mark.parametrize(
    ("images", "name", "words"),
    [
        (levels(), "images_best.pt", "bytes"),
        (levels().float() / 255, "images_best.pt", "as it is"),
        (levels().half() / 255, "images_best.pt", "as it is"),
        (levels().double() / 255, "images_best.pt", "as it is"),
        (levels().float() / 255 - 1e-6, "images_zca_5000.pt", "since zca in the name says that it was restored"),
    ],
)
def test_images_that_are_not_normalised_are_left_as_they_are(published, images, name, words):
    found = published(images, CLASSES, name=name, scale=())
    assert torch.equal(found.distilled.pixels(), levels()) and words in said(found, "scale")


def test_values_outside_the_range_of_pixels_are_clipped_and_their_share_is_said(published):
    images = normalised()
    images[0], images[1] = 50.0, -50.0
    found = published(images, CLASSES)
    assert found.distilled.pixels()[:2].flatten(1).unique(dim=1).tolist() == [[255], [0]]
    assert f"{100 * 2 / (N * IPC):.1f} % of the values were outside [0, 1] and are clipped" in said(found, "scale")


def test_images_in_any_order_are_sorted_by_their_labels(published):
    mixed = torch.from_numpy(numpy_rng(0, "mixed").permutation(N * IPC))
    found = published(normalised()[mixed], CLASSES[mixed])
    assert torch.equal(found.distilled.labels, CLASSES)
    pixels = found.distilled.pixels()[:, 0, 0, 0].view(N, IPC)
    assert [sorted(row) for row in pixels.tolist()] == [[grey(c, k) for k in range(IPC)] for c in range(N)]
    assert found.distilled.metadata[0]["source"] == f"images_best.pt[{(CLASSES[mixed] == 0).nonzero()[0].item()}]"


def test_images_without_labels_are_taken_class_after_class_and_it_is_said(published):
    found = published(normalised())
    assert torch.equal(found.distilled.pixels(), levels()) and "no file" in said(found, "labels")


@pytest.mark.parametrize("kind", ["logits", "shares"])
def test_soft_labels_come_with_the_set_in_its_order(published, kind):
    logits = torch.nn.functional.one_hot(CLASSES, N) * 3.0 + torch.arange(N)[None] / 10
    mixed = torch.from_numpy(numpy_rng(1, "mixed").permutation(N * IPC))
    labels = logits if kind == "logits" else logits.softmax(1)
    found = published(normalised()[mixed], labels[mixed])
    order = found.distilled.labels
    assert found.soft and torch.equal(order, CLASSES)
    assert torch.allclose(found.distilled.given_labels, logits.softmax(1), atol=1e-6)
    assert kind in said(found, "labels") and "in 0 of 22" in said(found, "labels")


def test_learned_labels_that_have_left_their_class_keep_their_place(published):
    labels = torch.nn.functional.one_hot(CLASSES, N) * 3.0
    labels[0, 5] = 9.0
    found = published(normalised(), labels)
    assert torch.equal(found.distilled.pixels(), levels()) and "in 1 of 22 the largest" in said(found, "labels")
    assert found.distilled.given_labels[0].argmax() == 5


@pytest.mark.parametrize(
    ("lr", "name", "value"),
    [
        (torch.tensor(0.0213), "lr_best.pt", 0.0213),
        (torch.tensor([0.0213], requires_grad=True), "syn_lr_best.pt", 0.0213),
        (0.5, "lr_best.pt", 0.5),
        (None, "", 0.01),
    ],
)
def test_a_learned_rate_is_read_and_the_published_one_taken_without(published, tmp_path, lr, name, value):
    (tmp_path / "theirs").mkdir()
    if lr is not None:
        torch.save(lr, tmp_path / "theirs" / name)
    found = published(normalised(), CLASSES)
    assert found.distilled.artifact.json("learned.json")["rate"] == pytest.approx(value)
    assert (f"learned, from {name}" if name else "that of DC and DM") in said(found, "learning rate")


def test_the_file_that_dm_saves_is_read_with_its_numbers_of_numpy(published):
    data = [[normalised(), CLASSES], [torch.zeros(N * IPC, 1, SIZE, SIZE), CLASSES]]
    accuracies = {"ConvNet": [np.float64(0.5), np.float32(0.25), 0.125]}
    found = published({"data": data, "accs_all_exps": accuracies}, name="res_DM_squares_ConvNet_2ipc.pt")
    assert torch.equal(found.distilled.pixels(), levels())
    assert said(found, "images").endswith("experiment 1 of 2")


def test_numbers_of_an_older_numpy_are_read_too(published, tmp_path):
    path = tmp_path / "theirs" / "res_DM_squares_ConvNet_2ipc.pt"
    path.parent.mkdir()
    found = {"data": [[normalised(), CLASSES]], "accs_all_exps": {"ConvNet": [np.float64(0.5)]}}
    torch.save(found, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert b"numpy._core.multiarray\n" in content
    path.write_bytes(content.replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"))
    assert torch.equal(published(None, name=path.name).distilled.pixels(), levels())


def test_images_of_another_size_are_brought_to_the_data_sets(published, birds):
    digits = levels()[:, :, :1, :1].expand(-1, 1, 28, 28)
    found = published(digits.contiguous(), CLASSES, dataset=dataclasses.replace(birds, image_size=32))
    pixels = found.distilled.pixels()
    assert (pixels[..., :2, :] == 0).all() and (pixels[5, 0, 2:-2, 2:-2] == grey(2, 1)).all()


def test_another_label_image_or_rate_is_another_set(published):
    keys = {
        published(images, labels, lr).distilled.artifact.key
        for images, labels, lr in (
            (normalised(), CLASSES, 0.1),
            (normalised(), CLASSES, 0.2),
            (normalised(), torch.nn.functional.one_hot(CLASSES, N) * 3.0, 0.2),
            (normalised(), torch.nn.functional.one_hot(CLASSES, N) * 4.0, 0.2),
            (normalised().flip(0), CLASSES, 0.2),
        )
    }
    assert len(keys) == 5


# what is refused


class Evil:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize("word", ["images", "labels", "lr"])
@pytest.mark.parametrize("protocol", [0, 2])
def test_a_file_that_would_run_code_is_refused_and_nothing_runs(published, tmp_path, capsys, word, protocol):
    published(normalised(), CLASSES, 0.1)
    path = tmp_path / "theirs" / f"{word}_best.pt"
    for content in (lambda: torch.save(Evil(), path), lambda: path.write_bytes(pickle.dumps(Evil(), protocol))):
        content()
        with pytest.raises(InputError, match=rf"{word}_best.pt is not a valid file of tensors") as caught:
            published(None)
        assert str(caught.value).isprintable()
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("images", "labels", "lr", "words"),
    [
        (torch.zeros(22, 3, 16, 16), CLASSES, None, r"holds \[22, 3, 16, 16\], not square images of 1 channels"),
        (torch.zeros(22, 1, 16, 8), CLASSES, None, "not square images"),
        (torch.zeros(22, 256), CLASSES, None, "not square images"),
        (torch.zeros(0, 1, 16, 16), None, None, "not square images"),
        (torch.zeros(23, 1, 16, 16), None, None, "the same number of each of the 11 classes of squares"),
        ([1, 2], None, None, r"holds \['list'\]"),
        ({"model": 1}, None, None, "holds model, but no images"),
        ({"data": []}, None, None, "holds data, but no images"),
        (torch.full((22, 1, 16, 16), float("nan")), CLASSES, None, "image 0 has a value that is not finite"),
        (normalised(), CLASSES[:-1], None, "the labels of .* are neither 22 classes from 0 to 10"),
        (normalised(), CLASSES + 1, None, "the labels of .* are neither 22 classes"),
        (normalised(), CLASSES - 1, None, "the labels of .* are neither 22 classes"),
        (normalised(), CLASSES * 0, None, "the labels of .* are neither 22 classes"),
        (normalised(), CLASSES + 0.5, None, "the labels of .* are neither 22 classes"),
        (normalised(), torch.zeros(22, 10), None, r"nor numbers \[22, 11\]"),
        (normalised(), torch.full((22, 11), float("inf")), None, r"nor numbers \[22, 11\]"),
        (normalised(), {"a": 1}, None, "the labels of .* are neither 22 classes"),
        (normalised(), CLASSES, -0.1, "lr_best.pt holds -0.1, but a learned rate is one positive number"),
        (normalised(), CLASSES, float("nan"), "a learned rate is one positive number"),
        (normalised(), CLASSES, torch.ones(2), "a learned rate is one positive number"),
    ],
)
def test_what_does_not_belong_to_the_data_set_or_together_is_one_line(published, images, labels, lr, words):
    with pytest.raises(InputError, match=words) as caught:
        published(images, labels, lr)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "scale", [((0.5,), ()), ((0.5,), (0.0,)), ((0.5,), (-1.0,)), ((0.5, 0.5), (1.0,)), ((float("nan"),), (1.0,))]
)
def test_options_that_do_not_fit_the_channels_are_one_line(published, scale):
    with pytest.raises(InputError, match=r"--mean .* and --std .* must each be one number, .* of 1 channels"):
        published(normalised(), CLASSES, scale=scale)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut off", b"<html>404</html>"])
def test_a_file_that_is_cut_off_or_none_is_named(published, tmp_path, content):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "images_best.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"images_best.pt is not a valid file of tensors"):
        published(None)


# trained and scored


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Profile:
    """Two classes of photographs, dark and bright, and a profile that asks for little."""
    root = tmp_path_factory.mktemp("two")
    for (c, name), (part, n) in itertools.product(enumerate(("dark", "light")), {"train": 4, "val": 8}.items()):
        (root / part / name).mkdir(parents=True)
        for i in range(n):
            noise = numpy_rng(0, part, c, i).integers(0, 40, (SIZE, SIZE, 3)) + 160 * c
            Image.fromarray(noise.astype(np.uint8)).save(root / part / name / f"{i}.png")
    return Profile(
        profile="two", dataset="imagefolder", data_root=str(root), image_size=SIZE, validation_fraction=0.0,
        teacher="convnet-8", teacher_epochs=2, students=["convnet-8"], epochs=4, threads=1, workers=1,
        artifacts=str(tmp_path_factory.mktemp("store")),
    )  # fmt: skip


@pytest.fixture
def best(two, tmp_path):
    """One image of each class as MTT would publish them, with soft labels that swap the classes, and a rate."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in NORMALISED["imagefolder"])
    images = torch.stack([(torch.full((3, SIZE, SIZE), level) - mean) / std for level in (0.08, 0.7)])
    root = tmp_path / "run-name"
    root.mkdir()
    torch.save(images, root / "images_best.pt")
    torch.save(torch.tensor([[-4.0, 4.0], [4.0, -4.0]]), root / "labels_best.pt")
    torch.save(torch.tensor(0.03), root / "lr_best.pt")
    return root / "images_best.pt"


def test_a_student_learns_the_soft_labels_at_the_learned_rate_without_a_teacher(two, best, monkeypatch):
    monkeypatch.setattr(Run, "teacher", property(lambda run: pytest.fail("a teacher was asked for")))
    done = evaluate_folder(best, "", two)
    (row,) = done.rows
    assert row["top1"] < 20 and row["preset"] == "tesla" and row["labels"] == "given" and row["method"] == "run-name"
    assert row["learning_rate"] == pytest.approx(0.03) and row["epochs"] == 40
    assert any("learning rate: 0.03, learned, from lr_best.pt" in line for line in done.assumed)
    assert any("students = ['convnet-8'] (published: ['convnet-128'])" in line for line in done.assumed)
    (best.parent / "labels_best.pt").unlink()
    (hard,) = evaluate_folder(best, "", two).rows
    assert hard["top1"] > 80 and hard["labels"] == "hard"
    (mine,) = evaluate_folder(best, "", two.replace(learning_rate=0.02), ["learning_rate"]).rows
    assert mine["learning_rate"] == 0.02


def test_the_targets_in_the_loss_are_the_shares_that_came_with_the_images(two, best, monkeypatch):
    shown = []

    def batches(self, epoch, of=Lessons.batches):
        for batch in of(self, epoch):
            shown.extend(batch[1].exp().tolist())
            yield batch

    monkeypatch.setattr(Lessons, "batches", batches)
    evaluate_folder(best, "tesla", two.replace(seed=3))
    low, high = torch.tensor([-4.0, 4.0]).softmax(0).tolist()
    assert {tuple(row) for row in np.round(shown, 5).tolist()} == {
        (round(low, 5), round(high, 5)),
        (round(high, 5), round(low, 5)),
    }


def test_with_the_preset_of_a_teacher_the_labels_are_its_own(two, best):
    done = evaluate_folder(best, "d4m", two)
    assert done.rows[0]["labels"] == "soft" and any(line.startswith("teacher: convnet-8") for line in done.assumed)


def test_what_is_for_tensors_alone_is_refused_for_a_folder(two, best):
    for how in ({"preset": "tesla"}, {"preset": "d4m", "mean": [0.5]}, {"preset": "", "std": [0.5]}):
        with pytest.raises(InputError, match=r"is a folder, but --mean, --std and preset tesla are for tensors"):
            evaluate_folder(best.parent, profile=two, **how)
    assert tuple(protocols.PROTOCOLS) == cli.PRESETS


def test_the_command_takes_mean_and_deviation(two, best, monkeypatch, capsys):
    values = {n: v for n, v in vars(two).items() if v != getattr(Profile(), n)}
    words = [f"{n}={v if isinstance(v, str) else json.dumps(v)}" for n, v in values.items()]
    chosen = ["--mean", "0.5", "--std", "0.5,0.25,0.5"]
    monkeypatch.setattr("sys.argv", ["ddoq", "eval", str(best), *chosen, *(w for word in words for w in ("-p", word))])
    with pytest.raises(SystemExit) as stop:
        cli.app()
    out = capsys.readouterr().out
    assert stop.value.code == 0 and "mean [0.5] and deviation [0.5, 0.25, 0.5], given" in out and " Top-1 " in out
    monkeypatch.setattr("sys.argv", ["ddoq", "eval", str(best), "--mean", "half"])
    with pytest.raises(InputError, match="--mean half and --std  must be one number"):
        cli.app(standalone_mode=False)
