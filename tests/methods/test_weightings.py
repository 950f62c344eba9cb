"""Rows that differ from DDOQ in one thing: the law of the weights, where they come from, or the decoder."""

import pytest
import safetensors.torch
import torch

from ddoq_book.studies.closeness import closeness_of
from ddoq_core.methods import METHODS
from ddoq_core.methods.method import MethodRun
from ddoq_core.pipeline.cluster import cluster, load_companion
from ddoq_core.pipeline.distilled import DistilledDataset, write_image, write_metadata
from ddoq_core.pipeline.encode import StoredLatents, encode
from ddoq_core.pipeline.relabel import relabel
from ddoq_core.pipeline.teacher import teacher
from ddoq_core.pipeline.train_student import train
from ddoq_core.priors.load import load_prior
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact
from ddoq_core.theory.transport import wasserstein2

from ..stand_ins import stand_in

COUNTS = torch.tensor([[50, 1, 20, 7, 90, 3, 33], [4, 4, 4, 4, 4, 4, 4], [1, 2, 3, 4, 5, 6, 7]])
IPC = COUNTS.shape[1]


@pytest.fixture
def distilled(store, squares) -> DistilledDataset:
    """Seven images of each class; in the second all cells are alike."""

    def build(work):
        for label in range(3):
            for item in range(IPC):
                write_image(work, label, item, torch.rand(1, 16, 16, generator=torch_rng(0, "images", label, item)))
        write_metadata(work, squares, COUNTS, seed=0)

    return DistilledDataset(store.make("test", build, parameters={"classes": squares.classes}))


def permuted(distilled, profile, distill_seed: int) -> torch.Tensor:
    run = stand_in(MethodRun, profile=profile)
    return METHODS["ddoq_permuted"].weights(run, distilled, distill_seed).reshape(3, IPC)


def test_permuted_weights_are_those_of_eq_33_in_another_order_within_each_class(distilled, tiny):
    true, dealt = distilled.weights("sqrt").reshape(3, IPC), permuted(distilled, tiny, 0)
    assert dealt.sort(1).values.equal(true.sort(1).values)
    torch.testing.assert_close((true**2).sum(1), torch.full((3,), float(IPC)))  # sqrt(K v / sum v)
    assert not dealt[0].equal(true[0]) and not dealt[2].equal(true[2])
    assert dealt[1].equal(true[1])


def test_every_distillation_permutes_in_an_order_of_its_own_and_always_the_same(distilled, tiny):
    first, again, other = (permuted(distilled, tiny, seed) for seed in (0, 0, 1))
    assert first.equal(again) and not first.equal(other)
    ranks = [order.argsort().tolist() for order in (first[0], first[2])]
    assert ranks[0] != ranks[1]  # classes are dealt apart


@pytest.mark.parametrize("quantizer", ["minibatch", "lloyd"])
def test_companion_weights_are_the_root_of_k_times_the_quantizers_own_masses(store, squares, prior, tiny, quantizer):
    latents = StoredLatents(encode(store, squares, prior, tiny))
    profile = tiny.replace(quantizer=quantizer, ipc=[3], n_passes=1)
    made = cluster(store, latents, profile, distill_seed=0)
    found = METHODS["ddoq_companion"].weights(
        stand_in(MethodRun, prototypes=lambda seed: {0: made}[seed]), stand_in(DistilledDataset, ipc=3), 0
    )
    mass = load_companion(made, 3)
    torch.testing.assert_close(found.reshape(3, 3) ** 2, 3 * mass)
    torch.testing.assert_close((found**2).reshape(3, 3).mean(1), torch.ones(3, dtype=found.dtype))
    of_cells = [[sum(row["counts"]), row["counts"]] for row in made.jsonl("clusters.jsonl") if row["ipc"] == 3]
    exact = torch.tensor([[c / n for c in counts] for n, counts in of_cells], dtype=mass.dtype)
    assert (quantizer == "lloyd") == torch.allclose(mass, exact)


# ---- medoids


class HandMade(Run):
    """A run of the squares whose second class has two equal prototypes, so that one of their cells is empty."""

    def prototypes(self, distill_seed: int = 0) -> Artifact:
        def build(work):
            for label in range(3):
                Z = self.class_latents(label)[0]
                points = torch.stack([Z[:4].mean(0), Z[4:].mean(0), Z[5] + 0.01])
                if label == 1:
                    points[2] = points[0]
                content = {"points_00003": points, "counts_00003": torch.zeros(3, dtype=torch.int64)}
                work.chunk(f"class{label:05d}.safetensors", lambda p, t=content: safetensors.torch.save_file(t, p))

        return self.store.make("cluster", build, parameters={"by": "hand"}, inputs=[self.latents])


@pytest.fixture
def run(store, squares, prior, tiny) -> Run:
    made = HandMade(tiny.replace(artifacts=str(store.root), ipc=[3], hard_ipc=[3], epochs=2, batch_size=4))
    made.__dict__.update(dataset=squares, prior=prior)
    return made


def test_a_medoid_is_the_training_image_of_its_cell_that_is_nearest_to_the_prototype(run, squares):
    made, ids = run.distilled("d4m_medoid", 3), squares.train.ids
    sources = [ids.index(row["source"]) for row in made.metadata]
    assert len({*sources}) == len(sources) and squares.train.labels[sources].equal(made.labels)
    assert made.pixels().equal(squares.train.images(torch.tensor(sources)).mul(255).round().to(torch.uint8))
    place = 0
    for label in range(3):
        Z, index = run.class_latents(label)
        points = safetensors.torch.load_file(run.prototypes().path / f"class{label:05d}.safetensors")["points_00003"]
        far = torch.cdist(Z.flatten(1).double(), points.flatten(1).double())
        cell = far.argmin(1)  # of two equal points the first
        for k in cell.unique().tolist():
            members = (cell == k).nonzero().flatten()
            assert sources[place] == int(index[members[far[members, k].argmin()]])
            assert made.counts[place] == len(members)
            place += 1
    assert place == len(made)


def test_an_empty_cell_has_no_image_and_the_counts_still_are_those_of_the_whole_class(run):
    made = run.distilled("d4m_medoid", 3)
    assert made.labels.bincount().tolist() == [3, 2, 3] and made.ipc == 3
    assert [int(v.sum()) for v in made.by_class(made.counts)] == [12, 12, 12]
    for v, w in zip(made.by_class(made.counts), made.by_class(made.weights("sqrt")), strict=True):
        torch.testing.assert_close(w**2, len(v) * v / 12)


def test_both_rows_of_medoids_share_their_images(run):
    assert run.distilled("ddoq_medoid", 3).artifact == run.distilled("d4m_medoid", 3).artifact


@pytest.mark.parametrize("target", ["soft", "hard"])
def test_classes_of_unequal_sizes_are_labelled_and_trained_on(run, squares, target):
    made, profile = run.distilled("ddoq_medoid", 3), run.profile.replace(soft_labels="stored")
    network = teacher(run.store, squares, profile)
    labels = relabel(run.store, made, squares, network, profile, label_seed=0)
    logits = safetensors.torch.load_file(labels.path / "epochs00000.safetensors")["logits"]
    assert logits.shape == (2, 8, 3) and len(labels.jsonl("images.jsonl")) == 8
    trained = train(
        run.store, made, squares, *((network, labels) if target == "soft" else (None, None)), profile,
        student="convnet-4", target=target, weights="sqrt", student_seed=0, label_seed=0,
    )  # fmt: skip
    assert 0 <= trained.json("result.json")["top1"] <= 100


def test_the_closeness_of_classes_of_unequal_sizes_is_that_of_the_images_that_there_are(run):
    rows = {name: closeness_of(run, name, 3).jsonl("distances.jsonl") for name in ("ddoq_medoid", "d4m_medoid")}
    made, model = run.distilled("ddoq_medoid", 3), load_prior(run.prior.path)
    points = made.by_class(model.encode(made.images()).flatten(1).double())
    for label in range(3):
        v = made.by_class(made.counts)[label].double()
        shares = {"w2": v / v.sum(), "w2_uniform": torch.ones(len(v)) / len(v), "w2_used": v.sqrt() / v.sqrt().sum()}
        mu = run.class_latents(label)[0].flatten(1).double()
        expected = {name: wasserstein2(points[label], share.double().numpy(), mu) for name, share in shares.items()}
        found = {name: rows["ddoq_medoid"][label][name] for name in shares}
        assert found == pytest.approx(expected, rel=1e-4) and len({*found.values()}) == 3
        assert rows["d4m_medoid"][label]["w2_used"] == pytest.approx(expected["w2_uniform"], rel=1e-4)
