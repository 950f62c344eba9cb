"""Algorithm 4, lines 2-3: prototypes and counts of every class."""

import subprocess
import sys

import pytest
import safetensors.torch
import torch

from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.pipeline.cluster import cluster, load_companion, load_counts, load_prototypes
from ddoq_core.pipeline.encode import PassingLatents, StoredLatents, encode
from ddoq_core.quantization import minibatch, random_samples
from ddoq_core.randomness import numpy_rng, torch_rng
from ddoq_core.store.artifacts import Artifact, Store, Workspace

SIZES = [30, 25, 41]
PROFILE = Profile.of({"ipc": [1, 4], "hard_ipc": [9], "n_restarts": 2, "n_passes": 2, "threads": 1})


def latents_of(store: Store, sizes: list[int], scale: float = 1.0) -> Artifact:
    def build(work: Workspace) -> None:
        for c, n in enumerate(sizes):
            Z = scale * torch.randn(n, 2, 3, 3, generator=torch_rng(0, "latents", c)) + c
            content = {"latents": Z, "index": torch.arange(n)}
            work.chunk(f"latents/class{c:05d}.safetensors", lambda p, t=content: safetensors.torch.save_file(t, p))
        rows = [{"index": c, "directory": f"n0{c}", "name": f"bird {c}", "n": n} for c, n in enumerate(sizes)]
        work.json("classes.json", rows)

    return store.make("encode", build, parameters={"sizes": sizes, "scale": scale})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.mark.parametrize("quantizer", ["lloyd", "minibatch", "clvq", "d4m"])
def test_counts_sum_to_the_class_size_at_every_level_for_every_quantizer(store, quantizer):
    made = cluster(store, StoredLatents(latents_of(store, SIZES)), PROFILE.replace(quantizer=quantizer), distill_seed=0)
    for K in (1, 4, 9):
        points, counts = load_prototypes(made, K)
        assert points.shape == (3, K, 2, 3, 3)
        assert counts.sum(1).tolist() == SIZES


def thirds(label: int) -> torch.Tensor:
    """Sub-populations 0, 1, 2 of a class, half of its images being of 0."""
    return torch.arange(SIZES[label]).remainder(4).remainder(3)


STRATIFIED = Profile.of({"ipc": [3], "targets": ["soft"], "n_restarts": 2, "quantizer": "stratified", "threads": 1})


def test_one_point_in_each_stratum_is_its_mean_and_the_counts_are_its_size(store):
    latents = latents_of(store, SIZES)
    points, counts = load_prototypes(
        cluster(store, StoredLatents(latents), STRATIFIED, distill_seed=0, strata=thirds), 3
    )
    for c in range(3):
        Z, part = StoredLatents(latents).of_class(c), thirds(c)
        assert counts[c].tolist() == part.bincount().tolist()
        for p in range(3):
            torch.testing.assert_close(points[c, p], Z[part == p].mean(0))


def test_every_stratum_has_the_same_number_of_points_and_keeps_its_mass(store):
    made = cluster(
        store, StoredLatents(latents_of(store, SIZES)), STRATIFIED.replace(ipc=[6, 9]), distill_seed=0, strata=thirds
    )
    for K in (6, 9):
        counts = load_prototypes(made, K)[1]
        for c in range(3):
            assert counts[c].reshape(3, K // 3).sum(1).tolist() == thirds(c).bincount().tolist()


@pytest.mark.parametrize(
    ("ipc", "strata", "says"),
    [
        (3, lambda label: None, "latents of class 0: quantizer = stratified needs super-classes; set superclasses"),
        (4, thirds, "ipc = 4 is not a multiple of 3 sub-populations"),
        (24, thirds, "8 points in sub-population 2, which has 7 images; lower ipc"),
    ],
)
def test_a_stratified_codebook_that_cannot_be_made_is_refused(store, ipc, strata, says):
    with pytest.raises(InputError, match=says):
        cluster(
            store, StoredLatents(latents_of(store, SIZES)), STRATIFIED.replace(ipc=[ipc]), distill_seed=0, strata=strata
        )


def test_one_prototype_of_a_class_is_its_mean(store):
    latents = latents_of(store, SIZES)
    points = load_prototypes(cluster(store, StoredLatents(latents), PROFILE, distill_seed=0), 1)[0]
    for c in range(3):
        Z = safetensors.torch.load_file(latents.path / f"latents/class{c:05d}.safetensors")["latents"]
        torch.testing.assert_close(points[c, 0], Z.mean(0))


def test_summary_rows_tell_the_distortion_and_counts_of_every_class_and_level(store):
    made = cluster(store, StoredLatents(latents_of(store, SIZES)), PROFILE, distill_seed=0)
    rows = made.jsonl("clusters.jsonl")
    assert [(r["class"], r["ipc"]) for r in rows] == [(c, K) for c in range(3) for K in (1, 4, 9)]
    assert all(sum(r["counts"]) == SIZES[r["class"]] for r in rows)
    assert all(r["distortion"] <= r["history"][0] for r in rows)


def test_prototypes_of_a_class_do_not_depend_on_the_other_classes_or_levels(store):
    many = load_prototypes(cluster(store, StoredLatents(latents_of(store, SIZES)), PROFILE, distill_seed=1), 4)[0]
    one_level = PROFILE.replace(ipc=[4], targets=["soft"])
    alone = load_prototypes(cluster(store, StoredLatents(latents_of(store, SIZES[:1])), one_level, distill_seed=1), 4)[
        0
    ]
    assert torch.equal(many[:1], alone)


@pytest.mark.parametrize("quantizer", ["minibatch", "clvq"])
def test_online_quantizers_start_at_samples_where_they_are_told_to_and_keep_their_key_by_default(store, quantizer):
    latents, profile = StoredLatents(latents_of(store, SIZES)), PROFILE.replace(quantizer=quantizer)
    found = {s: cluster(store, latents, profile.replace(start=s), distill_seed=0) for s in ("kmeans++", "samples")}
    assert found["kmeans++"] == cluster(store, latents, profile, distill_seed=0)
    assert "start" not in found["kmeans++"].manifest["parameters"]  # as before there was the knob
    assert found["samples"].manifest["parameters"]["start"] == "samples"
    assert found["samples"].key != found["kmeans++"].key
    assert not load_prototypes(found["samples"], 9)[0].equal(load_prototypes(found["kmeans++"], 9)[0])


def test_where_an_online_quantizer_would_start_is_in_no_key_of_lloyds(store):
    latents = StoredLatents(latents_of(store, SIZES))
    made = {cluster(store, latents, PROFILE.replace(start=s), distill_seed=0).key for s in ("kmeans++", "samples")}
    assert len(made) == 1


def test_one_pass_from_samples_is_mini_batch_k_means_from_k_of_them(store):
    latents = StoredLatents(latents_of(store, SIZES))
    profile = PROFILE.replace(quantizer="minibatch", start="samples", n_passes=1)
    points = load_prototypes(cluster(store, latents, profile, distill_seed=3), 4)[0]
    for c in range(3):
        Z, rng = latents.of_class(c).flatten(1), numpy_rng(profile.seed, "cluster", 3, c, 4)
        expected = minibatch(Z, random_samples(Z, 4, rng), passes=1, rng=rng)
        torch.testing.assert_close(points[c].flatten(1), expected.points)


@pytest.mark.parametrize("quantizer", ["minibatch", "clvq", "d4m"])
def test_an_online_quantizers_own_masses_are_kept_beside_the_exact_ones(store, quantizer):
    made = cluster(store, StoredLatents(latents_of(store, SIZES)), PROFILE.replace(quantizer=quantizer), distill_seed=0)
    own, counts = load_companion(made, 9), load_counts(made, 9)
    torch.testing.assert_close(own.sum(1), torch.ones(3, dtype=own.dtype))
    assert (own - counts / counts.sum(1, keepdim=True)).abs().max() > 1e-3


def test_lloyds_masses_are_the_exact_ones(store):
    made = cluster(store, StoredLatents(latents_of(store, SIZES)), PROFILE, distill_seed=0)
    torch.testing.assert_close(load_companion(made, 9), load_counts(made, 9) / torch.tensor(SIZES)[:, None])


def test_another_distillation_seed_starts_elsewhere(store):
    latents = latents_of(store, SIZES)
    first, second = (
        load_prototypes(cluster(store, StoredLatents(latents), PROFILE, distill_seed=s), 9)[0] for s in (0, 1)
    )
    assert not torch.equal(first, second)


def test_an_interrupted_clustering_resumes_to_the_same_bytes(store, tmp_path, monkeypatch):
    latents = latents_of(store, SIZES)
    whole = cluster(store, StoredLatents(latents), PROFILE, distill_seed=0)
    save, calls = safetensors.torch.save_file, []

    def save_twice_then_stop(*arguments):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(save(*arguments))

    other = Store(tmp_path / "other")
    monkeypatch.setattr(safetensors.torch, "save_file", save_twice_then_stop)
    with pytest.raises(KeyboardInterrupt):
        cluster(other, StoredLatents(latents), PROFILE, distill_seed=0)
    monkeypatch.setattr(safetensors.torch, "save_file", save)
    assert cluster(other, StoredLatents(latents), PROFILE, distill_seed=0).manifest == whole.manifest


def test_a_level_above_the_class_size_names_the_class_and_the_mend(store):
    with pytest.raises(InputError, match=r'ipc = 26, but class 1 \("bird 1", n01\) has 25 training images; lower ipc'):
        cluster(store, StoredLatents(latents_of(store, SIZES)), PROFILE.replace(ipc=[26]), distill_seed=0)
    assert not (store.root / "cluster").exists()


def test_latents_that_are_not_finite_name_their_class(store):
    with pytest.raises(InputError, match=r"latents of class 0: 30 of 30 samples are NaN or infinite"):
        cluster(store, StoredLatents(latents_of(store, SIZES, scale=float("inf"))), PROFILE, distill_seed=0)


def test_hard_levels_count_only_when_students_are_trained_on_hard_labels(store):
    made = cluster(
        store, StoredLatents(latents_of(store, [5])), PROFILE.replace(ipc=[4], targets=["soft"]), distill_seed=0
    )
    with pytest.raises(InputError, match="no prototypes for ipc = 9"):
        load_prototypes(made, 9)


def test_one_pass_without_latents_on_disk_gives_the_same_prototypes(store, squares, prior, tiny):
    profile = tiny.replace(ipc=[1, 3])
    kept = cluster(store, StoredLatents(encode(store, squares, prior, profile)), profile, distill_seed=0)
    passed = cluster(store, PassingLatents(squares, prior, profile), profile, distill_seed=0)
    names = [p.name for p in sorted(kept.path.glob("class*.safetensors"))]
    assert len(names) == 3
    for name in [*names, "clusters.jsonl"]:
        assert (kept.path / name).read_bytes() == (passed.path / name).read_bytes()


def test_one_pass_holds_one_class_at_a_time_and_encodes_each_image_once(store, squares, prior, tiny, monkeypatch):
    from ddoq_core.pipeline import encode as module

    seen, real = [], module.encode_images
    monkeypatch.setattr(
        module, "encode_images", lambda p, s, index, **k: seen.append(index.tolist()) or real(p, s, index, **k)
    )
    cluster(
        store, PassingLatents(squares, prior, tiny.replace(ipc=[1, 2, 5])), tiny.replace(ipc=[1, 2, 5]), distill_seed=0
    )
    assert seen == [squares.train.of_class(c).tolist() for c in range(3)]


def test_half_precision_halves_what_is_stored_and_is_counted_as_ever(store, squares, prior, tiny):
    profile = tiny.replace(precision="bfloat16")
    latents = encode(store, squares, prior, profile)
    held = safetensors.torch.load_file(latents.path / "latents/class00000.safetensors")["latents"]
    made = cluster(store, StoredLatents(latents), profile, distill_seed=0)
    points, counts = load_prototypes(made, 2)
    assert held.dtype == torch.bfloat16 and points.dtype == torch.float32 and counts.sum(1).tolist() == [12] * 3


@pytest.mark.slow
def test_the_memory_of_one_pass_does_not_grow_with_the_number_of_classes(tmp_path, save_random_prior):
    save_random_prior(tmp_path / "prior", channels=3)
    peaks = []
    for n_classes in (10, 1000):
        words = [sys.executable, "-c", ONE_PASS, str(n_classes), str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 30e6, f"{peaks[0] / 1e6:.0f} MB, then {peaks[1] / 1e6:.0f} MB"


ONE_PASS = """
import resource, sys, time, torch
from pathlib import Path
from ddoq_core.pipeline.cluster import cluster
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.pipeline.encode import PassingLatents
from ddoq_core.config.profile import Profile
from ddoq_core.store.artifacts import Artifact, Store

n_classes, root, per_class = int(sys.argv[1]), Path(sys.argv[2]), 30
pixels = torch.randint(0, 255, (1, 3, 32, 32), dtype=torch.uint8).expand(n_classes * per_class, 3, 32, 32)
labels = torch.arange(n_classes).repeat_interleave(per_class)
split = Split(labels, [""] * len(labels), pixels, 32)
names = [f"{c:04d}" for c in range(n_classes)]
data = Dataset(
    "many", split, split, split, class_ids=names, class_names=names, prompts=names, image_size=32, channels=3,
    mean=(0.5,) * 3, std=(0.2,) * 3, key=f"many{n_classes}",
)
profile = Profile(ipc=[1, 5, 10], targets=["soft"], n_restarts=2, threads=1, encode_sample=True)
began = time.monotonic()
latents = PassingLatents(data, Artifact(root / "prior", "prior", "random", "random"), profile)
cluster(Store(root / f"store{n_classes}"), latents, profile, distill_seed=0)
print(n_classes, time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
