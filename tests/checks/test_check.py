"""The check of a run: every value is what it says, what is wrong is named, and equal inputs give equal bytes."""

import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

from ddoq_core import cli
from ddoq_core.checks import check as module
from ddoq_core.checks.check import check
from ddoq_core.checks.check_lines import Fact, _recognised_fact, brief_lines, fact_lines, facts_of
from ddoq_core.config.profile import Profile
from ddoq_core.methods import METHODS
from ddoq_core.pipeline.cluster import cluster, prototypes_of
from ddoq_core.pipeline.distilled import DistilledDataset, write_image
from ddoq_core.pipeline.encode import PassingLatents, StoredLatents, encode
from ddoq_core.pipeline.synthesize import _finish
from ddoq_core.pipeline.teacher import teacher
from ddoq_core.priors.load import load_prior
from ddoq_core.quantization.voronoi import distortion, quantize
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact, Store
from ddoq_core.theory.transport import wasserstein2

K = 2


@pytest.fixture(scope="module")
def made(tmp_path_factory, squares, prior, tiny):
    """Latents and prototypes of the squares, and a teacher that recognises every square."""
    store = Store(tmp_path_factory.mktemp("made"))
    latents = StoredLatents(encode(store, squares, prior, tiny))
    prototypes = cluster(store, latents, tiny, distill_seed=0)
    return SimpleNamespace(
        latents=latents, prototypes=prototypes, teacher=teacher(store, squares, tiny.replace(teacher_epochs=25))
    )


@pytest.fixture
def pictures(tmp_path, squares):
    """`pictures(shown, blank)`: the first K training images of class shown[c] as the pictures of class c."""

    def of(shown=(0, 1, 2), blank=()) -> DistilledDataset:
        def build(work):
            for label, source in enumerate(shown):
                for item, image in enumerate(squares.train.images(squares.train.of_class(source)[:K])):
                    write_image(work, label, item, image * ((label, item) not in blank))
            _finish(work, squares, torch.full((3, K), 6), 0)

        return DistilledDataset(
            Store(tmp_path / "pictures").make(
                "synthesize", build, parameters={"of": [shown, blank], "classes": squares.classes}
            )
        )

    return of


@pytest.fixture
def checked(store, squares, prior, tiny, made, pictures):
    """`checked(...)`: the check of the squares, with some of what is checked replaced."""

    def of(shown=None, latents=made.latents, prototypes=made.prototypes, profile=tiny, store=store) -> Artifact:
        shown = shown or pictures()
        return check(
            store, squares, latents, prototypes, shown, prior, made.teacher, profile, ipc=K, distill_seed=0
        )  # fmt: skip

    return of


def _fact(artifact: Artifact, name: str) -> Fact:
    return facts_of(artifact)[name]


def test_the_reconstruction_error_is_that_of_a_few_validation_images(checked, squares, prior):
    fact, model, images = (
        _fact(checked(), "reconstruction"),
        load_prior(prior.path),
        squares.validation.images(range(9)),
    )
    error = (2 * model.decode(model.encode(images)) - 2 * images).square().mean().item()
    assert fact.value == pytest.approx(error, rel=1e-4) and fact.detail["n"] == 9
    assert fact.detail["flat"] == pytest.approx((2 * images).var((2, 3), correction=0).mean().item(), rel=1e-4)
    assert fact.ok is (fact.value < fact.detail["flat"])


def test_without_validation_images_training_images_are_reconstructed(squares, prior, tiny):
    model, none = load_prior(prior.path), squares.validation.subset(torch.tensor([], dtype=torch.int64))
    row = module._reconstruction(model, replace(squares, validation=none), 1, tiny)
    images = squares.train.images(squares.train.of_class(1)[: module.FEW])
    assert row["n_reconstructed"] == module.FEW
    assert row["reconstruction"] == pytest.approx(module.reconstruction_errors(model, images).mean().item(), rel=1e-4)


def test_real_images_are_recognised_and_none_is_blank(checked):
    found = checked()
    assert [row["recognised"] for row in found.jsonl("classes.jsonl")] == [100, 100, 100]
    recognised = _fact(found, "recognised")
    assert recognised.value == 100 and recognised.ok and "100.0 % of 6 pictures" in recognised.text
    assert _fact(found, "blank").value == 0 and _fact(found, "blank").ok
    assert "least recognised: none, every picture" in brief_lines(found, set())[1]


def test_a_class_that_the_teacher_does_not_recognise_is_named_first(checked, pictures):
    found = checked(pictures(shown=(0, 0, 2)))
    assert [row["recognised"] for row in found.jsonl("classes.jsonl")] == [100, 0, 100]
    worst = _fact(found, "recognised").detail["worst"]
    assert worst[0] == {"class": 1, "name": "middle", "directory": "1", "recognised": 0}
    assert brief_lines(found, set())[1] == "ddoq: least recognised: middle 0 %"
    assert fact_lines(found)[-1].endswith("  least recognised: middle 0 %")


def test_pictures_of_other_classes_are_not_healthy_and_the_line_says_what_to_look_at(checked, pictures):
    found = checked(pictures(shown=(1, 2, 2)))
    assert _fact(found, "recognised").ok is False
    (line,) = [line for line in brief_lines(found, set()) if line.startswith("ddoq: NOT HEALTHY: recognised 33.3 %")]
    assert "healthy is at least 66.7 %, twice chance" in line and "look at the pictures" in line


def test_a_blank_picture_is_counted_and_named(checked, pictures):
    found = checked(pictures(blank=((2, 1),)))
    fact = _fact(found, "blank")
    assert (fact.value, fact.ok, fact.detail["names"]) == (1, False, ["00002/class00002_id00001.png"])
    assert [row["blank"] for row in found.jsonl("classes.jsonl")] == [0, 0, 1]
    assert any(
        "NOT HEALTHY: blank 1 of 6 pictures: 00002/class00002_id00001.png" in s for s in brief_lines(found, set())
    )


def test_the_distortion_of_the_codebook_is_that_of_the_clustering_and_below_that_of_random_latents(checked, made):
    found = checked()
    stored = [row["distortion"] for row in made.prototypes.jsonl("clusters.jsonl") if row["ipc"] == K]
    rows = found.jsonl("classes.jsonl")
    assert [row["distortion"] for row in rows] == pytest.approx(stored, rel=1e-5)
    assert all(0 < row["ratio"] == row["distortion"] / row["random_distortion"] < 1 for row in rows)
    assert _fact(found, "distortion").ok and _fact(found, "W2_codebook").ok


def test_prototypes_of_other_latents_are_found_out_by_their_distortion(checked, made, tmp_path):
    for c in range(3):
        points = prototypes_of(made.prototypes, K, c) + (3 if c == 1 else 0)
        safetensors.torch.save_file({f"points_{K:05d}": points}, tmp_path / f"class{c:05d}.safetensors")
    fact = _fact(checked(prototypes=Artifact(tmp_path, "cluster", "moved", "moved")), "distortion")
    assert fact.ok is False and fact.detail["class"] == 1 and fact.detail["largest"] > 1 and '"middle"' in fact.look


def test_with_cell_masses_w2_is_the_root_of_the_distortion_and_equal_weights_are_no_nearer(checked, made):
    for c, row in enumerate(checked().jsonl("classes.jsonl")):
        Z, x = made.latents.of_class(c).flatten(1), prototypes_of(made.prototypes, K, c).flatten(1)
        program = wasserstein2(x, quantize(Z, x).weights, Z)
        assert row["W2_codebook"] == pytest.approx(math.sqrt(row["distortion"])) == pytest.approx(program, rel=1e-5)
        assert row["W2_uniform"] >= row["W2_codebook"] * (1 - 1e-5)


def test_pictures_that_are_training_images_are_as_far_as_their_latents_with_the_masses_of_the_cells(checked, made):
    for c, row in enumerate(checked().jsonl("classes.jsonl")):
        Z, x = made.latents.of_class(c).flatten(1), prototypes_of(made.prototypes, K, c).flatten(1)
        assert row["W2_pictures"] == pytest.approx(wasserstein2(Z[:K], quantize(Z, x).weights, Z), rel=1e-4)


def test_means_over_classes_have_95_percent_intervals(checked):
    found = checked()
    values = torch.tensor([row["W2_uniform"] for row in found.jsonl("classes.jsonl")], dtype=torch.float64)
    detail = _fact(found, "W2_uniform").detail
    half = 4.302653 * values.std().item() / math.sqrt(3)  # the 97.5 % point of Student's t with 2 degrees of freedom
    assert detail["value"] == pytest.approx(values.mean().item()) and detail["half_width"] == pytest.approx(
        half, rel=1e-6
    )


def test_equal_inputs_give_equal_bytes_and_another_seed_other_draws(checked, contents, tiny, tmp_path):
    a, b = (contents(checked(store=Store(tmp_path / name))) for name in "ab")
    assert a == b and set(a) == {"measured.json", "classes.jsonl", "manifest.json"}
    other = contents(checked(profile=tiny.replace(seed=1), store=Store(tmp_path / "c")))
    assert a["classes.jsonl"] != other["classes.jsonl"]


def test_an_interrupted_check_goes_on_where_it_was_and_ends_with_the_same_bytes(
    checked, contents, tmp_path, monkeypatch
):
    whole, distances, seen = contents(checked()), module._distances, []

    def dying(*arguments):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(arguments[3])
        return distances(*arguments)

    monkeypatch.setattr(module, "_distances", dying)
    with pytest.raises(KeyboardInterrupt):
        checked(store=Store(tmp_path / "cut"))
    again = []
    monkeypatch.setattr(module, "_distances", lambda *a: again.append(a[3]) or distances(*a))
    assert contents(checked(store=Store(tmp_path / "cut"))) == whole
    assert (seen, again) == ([0, 1], [2])


def test_latents_that_are_not_kept_are_encoded_again_for_some_classes_and_the_output_says_so(
    checked, squares, prior, tiny, monkeypatch, tmp_path
):
    passing = PassingLatents(squares, prior, tiny)
    whole, again = checked().jsonl("classes.jsonl"), checked(latents=passing).jsonl("classes.jsonl")
    assert again == whole
    monkeypatch.setattr(module, "LOOKED_AT", 2)
    found = checked(latents=passing, store=Store(tmp_path / "two"))
    rows = found.jsonl("classes.jsonl")
    assert sum("ratio" in row for row in rows) == 2 and all("recognised" in row for row in rows)
    assert all(row in whole for row in rows if "ratio" in row)
    assert (
        "(2 of 3 classes)" in _fact(found, "distortion").text and "(2 of 3 classes)" in _fact(found, "W2_pictures").text
    )


def test_a_large_transport_plan_is_made_from_some_latents_and_the_output_says_of_how_many(checked, monkeypatch):
    monkeypatch.setattr(module, "ENTRIES", 12 * K - 1)
    monkeypatch.setattr(module, "SUBSAMPLE", 7)
    found = checked()
    assert all(row["W2_uniform"] >= row["W2_codebook"] * (1 - 1e-5) for row in found.jsonl("classes.jsonl"))
    assert {(row["n_latents"], row["n_transported"]) for row in found.jsonl("classes.jsonl")} == {(12, 7)}
    assert _fact(found, "W2_pictures").text.endswith("(3 classes, 7 latents each)")


def test_pictures_whose_latents_are_not_finite_are_told_and_stop_nothing(checked, monkeypatch):
    encoded = module.encode_images
    monkeypatch.setattr(module, "encode_images", lambda *a, **k: encoded(*a, **k) * math.nan)
    fact = _fact(checked(), "W2_pictures")
    assert fact.value is None and fact.ok is False and fact.text.startswith("not finite")


def test_every_image_a_point_is_healthy(squares, made, tiny):
    Z = made.latents.of_class(0)
    row = module._distances(Z, Z, Z, 0, tiny)
    assert row["ratio"] == row["W2_codebook"] == distortion(Z.flatten(1), Z.flatten(1)) == 0


@pytest.mark.parametrize(("n_classes", "least"), [(1, 100), (2, 75), (10, 20), (1000, 0.2)])
def test_pictures_are_to_be_recognised_at_twice_chance_or_halfway_to_certainty(n_classes, least):
    def fact(recognised: float) -> Fact:
        row = {"class": 0, "name": "a", "directory": "a", "n_pictures": 10, "recognised": recognised}
        return _recognised_fact([row] * n_classes, teacher)

    teacher = 100
    assert fact(least + 1e-9).ok and fact(least - 0.1).ok is False
    teacher = least - 0.05  # a teacher that fails on real images itself judges nothing
    assert fact(least + 1e-9).ok is None and "unknown: the teacher itself recognises only" in fact(least).healthy


def test_there_is_one_line_per_fact_with_what_is_healthy(checked):
    found = checked()
    lines, facts = fact_lines(found), facts_of(found)
    assert len(lines) == len(facts) + 1 == 8
    assert all(
        f"{fact.title} {fact.text}; healthy: {fact.healthy}" in line
        for fact, line in zip(facts.values(), lines, strict=False)
    )


@pytest.mark.parametrize("method", ["d4m", "ddoq", "ddoq_proportional"])
def test_every_distilled_set_of_prototypes_is_checked_once(method, monkeypatch):
    monkeypatch.setattr(Run, "check", lambda self, *one: one)
    profile = Profile(methods=["random_real", method, "full"], ipc=[1, 2], hard_ipc=[2], n_seeds=2, n_student_seeds=3)
    assert list(Run(profile).checks()) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert list(Run(profile.replace(methods=list(METHODS))).checks()) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert not list(Run(profile.replace(methods=["random_real", "full"])).checks())


def test_a_run_says_what_is_not_healthy_once_and_stands_by_its_first_distillation(checked, pictures, monkeypatch):
    bad, told = checked(pictures(shown=(1, 1, 1))), set()
    first = brief_lines(bad, told)
    assert first[0].startswith("ddoq: check of ipc 2, seed 0: reconstruction error ") and "recognised" in told
    assert brief_lines(bad, told) == first[:2] and len(first) == 2 + len(told)
    monkeypatch.setattr(Artifact, "manifest", {"parameters": {"ipc": 2, "distill_seed": 1}})
    assert brief_lines(bad, told) == []


def test_the_command_prints_the_facts_of_every_set(checked, monkeypatch, capsys):
    found = checked()
    monkeypatch.setattr(cli, "given_run", lambda *words: SimpleNamespace(checks=lambda: iter([found, found])))
    monkeypatch.setattr(sys, "argv", ["ddoq", "check"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert capsys.readouterr().out.splitlines() == 2 * [str(found.path), *fact_lines(found)]
