"""The estimated cost of a run: published sizes of networks, bytes and artifacts as a run makes them."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from diffusers import DiTPipeline
from torch.utils.flop_counter import FlopCounterMode

from ddoq_book.ch33.measured import MeasuredCost, Timing, measured_run, measured_table, seconds_form, timings
from ddoq_book.studies.families import GROUPS
from ddoq_core.config.files import find_profile
from ddoq_core.config.profile import Profile, parse_assignment
from ddoq_core.cost import sizes as sizes_module
from ddoq_core.cost.counting import activations, count_parts, n_parameters
from ddoq_core.cost.flops import classifier, prior_of
from ddoq_core.cost.model import clustering, costs, takes_gram
from ddoq_core.cost.sizes import A6000, KNOWN, TWO_CORES, Device, Images, card_for, device_of
from ddoq_core.cost.tables import (
    PAPER,
    amount,
    bytes_form,
    cost_table,
    duration,
    flops_form,
    memory_table,
    paper_steps,
    paper_table,
    run_cost,
    training_memory,
)
from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS, SMALL
from ddoq_core.networks.classifiers import make_network
from ddoq_core.pipeline.label_forms import label_bytes
from ddoq_core.priors import pretrain
from ddoq_core.priors.latent_diffusion import SAMPLERS
from ddoq_core.quantization.forms import Gram
from ddoq_core.quantization.lloyd import ITERATIONS, SEEDING, form_of
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run

from ..tiny import random_prior
from .published import dit, sdxl, stable_diffusion

FURTHER = [name for group in GROUPS for name in group.methods]  # rows that the study of families has added
MAC = 2  # operations of a multiply-add
IMAGENET = Images.of(PAPER)
LITTLE = Profile.of(
    SMALL
    | {
        "profile": "small",
        "image_size": 16,
        "prior": "dit",
        "teacher": "convnet-8",
        "teacher_epochs": 1,
        "ipc": [1, 2],
        "hard_ipc": [2],
        "n_restarts": 1,
        "n_steps": 2,
        "epochs": 2,
        "students": ["convnet-8"],
        "n_seeds": 2,
        "threads": 1,
        "workers": 1,
        "batch_size": 20,
        "methods": [name for name in METHODS if name not in FURTHER],
    }
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Run:
    """A small run on the digits, with a prior of random weights in a folder."""
    return finished_run(LITTLE, tmp_path_factory.mktemp("cost"))


def finished_run(profile: Profile, folder: Path) -> Run:
    """The run of a profile with such a prior."""
    prior = random_prior()
    scheduler = prior.scheduler_class.from_config(prior.scheduler_config)
    DiTPipeline(prior.transformer, prior.vae, scheduler).save_pretrained(folder / "prior")
    index = folder / "prior" / "model_index.json"
    digits = {"id2label": {str(i): name for i, name in enumerate(Run(profile).dataset.class_names)}}
    index.write_text(json.dumps(json.loads(index.read_text()) | digits))
    run = Run(profile.replace(prior_path=str(folder / "prior"), artifacts=str(folder / "artifacts")))
    run.results()
    return run


# the networks


@pytest.mark.parametrize(
    ("count", "published"),
    [
        (lambda: n_parameters(stable_diffusion().network), 859_520_964),
        (lambda: n_parameters(stable_diffusion().vae), 83_653_863),
        (lambda: n_parameters(stable_diffusion().text_encoder), 123_060_480),
        (lambda: n_parameters(sdxl().network), 2_567_463_684),
        (lambda: n_parameters(sdxl().second_encoder), 694_659_840),
        (lambda: classifier("resnet18", 1000, 3, 224).parameters, 11_689_512),
        (lambda: classifier("resnet50", 1000, 3, 224).parameters, 25_557_032),
        (lambda: classifier("resnet101", 1000, 3, 224).parameters, 44_549_160),
    ],
    ids=[
        "UNet",
        "VAE",
        "text encoder",
        "SDXL's UNet",
        "its second text encoder",
        "ResNet-18",
        "ResNet-50",
        "ResNet-101",
    ],
)
def test_networks_have_as_many_parameters_as_published(count, published):
    assert count() == published


def test_dit_has_the_published_parameters_once_the_embedding_that_diffusers_repeats_in_every_block_is_counted_once():
    network = dit().network
    repeated = n_parameters(network.transformer_blocks[0].norm1.emb)
    positions = 16**2 * 16 * 72  # fixed sines, which the publication counts and diffusers keeps as a buffer
    assert n_parameters(network) - 27 * repeated + positions == 675_129_632


@pytest.mark.parametrize(
    ("count", "published"),
    [
        (lambda: classifier("resnet18", 1000, 3, 224).forward, 1.81e9),  # torchvision's documentation
        (lambda: classifier("resnet50", 1000, 3, 224).forward, 4.09e9),
        (lambda: classifier("resnet101", 1000, 3, 224).forward, 7.80e9),
        (lambda: classifier("mobilenet_v2", 1000, 3, 224).forward, 0.30e9),
        (lambda: prior_of(PAPER.replace(prior="dit"), 3).call, 118.64e9),  # Peebles and Xie (2023), Table 4
    ],
    ids=["ResNet-18", "ResNet-50", "ResNet-101", "MobileNet-V2", "DiT-XL/2"],
)
def test_a_forward_pass_makes_as_many_multiply_adds_as_published(count, published):
    assert count() / MAC == pytest.approx(published, rel=0.006)


def test_the_unet_makes_the_published_multiply_adds_and_those_of_attention():
    """Counts in print, about 340 GMAC at 64 x 64, leave out the products of queries, keys and values."""
    prior, call = stable_diffusion(), prior_of(PAPER, 3).call
    x, text = torch.empty(1, 4, 64, 64, device="meta"), torch.empty(1, 77, 768, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        prior.network(x, 0, encoder_hidden_states=text)
    counts = {str(kernel): n for kernel, n in counter.get_flop_counts()["Global"].items()}
    attention = sum(n for kernel, n in counts.items() if "bmm" in kernel or "attention" in kernel)
    assert (call - attention) / MAC == pytest.approx(339e9, rel=0.01)
    assert call / MAC == pytest.approx(402e9, rel=0.01)


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d", "mobilenet_v2"])
def test_a_backward_pass_makes_twice_the_forward_but_for_the_gradient_of_the_images(name):
    """Grouped convolutions too, which torch's own count takes for full ones."""
    network = classifier(name, 1000, 3, 224)
    assert 2.9 < network.training / network.forward < 3


@pytest.mark.parametrize("size", [16, 32])
def test_the_small_prior_is_the_one_that_is_fitted(size):
    profile = Profile.of({"image_size": size})
    prior = prior_of(profile, 1)
    assert prior.latent_shape == (pretrain.LATENT_CHANNELS, size // 4, size // 4) and prior.image_size == size
    assert prior.encode > 0 and prior.train_network == pytest.approx(3 * prior.call, rel=0.05)


def test_calls_are_the_timesteps_of_the_checkpoints_own_scheduler_twice_with_guidance():
    paper = prior_of(PAPER, 3)
    assert paper.calls(PAPER) == 2 * 36  # PNDM runs its first step twice
    assert paper.calls(PAPER.replace(guidance_scale=1.0)) == 36
    assert paper.calls(PAPER, from_noise=True) == 2 * 51
    assert all(paper.calls(PAPER.replace(sampler=name)) == 2 * 35 for name in SAMPLERS)
    assert paper.calls(PAPER.replace(strength=0.0)) == 0


def test_a_folder_is_counted_by_its_own_configuration(finished):
    prior, real = prior_of(finished.profile, 1), random_prior()
    assert prior.parameters == n_parameters(real.vae, real.transformer)
    assert (prior.latent_shape, prior.image_size) == (real.latent_shape, 16)


def test_a_folder_of_another_layout_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="holds no configuration of a dit prior") as error:
        prior_of(LITTLE.replace(prior_path=str(tmp_path)), 1)
    assert "\n" not in str(error.value)


def test_nothing_is_computed_and_nothing_drawn():
    before = torch.get_rng_state()
    classifier("convnet-16", 10, 1, 32), count_parts("", stable_diffusion())
    assert torch.equal(torch.get_rng_state(), before)
    assert {p.device.type for p in stable_diffusion().network.parameters()} == {"meta"}


# the steps


def test_a_run_makes_exactly_the_artifacts_that_were_told(finished):
    told_of = {(c.step, c.network, c.ipc): c.times for c in costs(finished.profile, Images.of(finished.profile))}
    made = {(t.step, t.network, t.ipc): len(t.seconds) for t in timings(finished)}
    # told as rows with values of their own, but the only image of a class has the weight 1 in all: they share students
    told_of["train", "convnet-8, soft labels", 1] -= 2 * finished.profile.n_seeds
    assert {told_of.pop(("exponents", "", ipc)) for ipc in (1, 2)} == {finished.profile.n_seeds}
    assert len(list(finished.store.root.glob("exponents/*/run.json"))) == 2 * finished.profile.n_seeds
    pixels = sum(told_of.pop(("pixels", "", ipc)) for ipc in (1, 2))  # no input of a student: its set is
    assert len(list(finished.store.root.glob("pixels/*/run.json"))) == pixels
    assert made == told_of


@pytest.mark.slow
def test_a_run_of_the_further_rows_makes_exactly_the_artifacts_that_were_told(tmp_path):
    further = LITTLE.replace(methods=FURTHER, targets=["hard"], hard_ipc=[1, 2], n_seeds=1, tesla_ipc=[1, 2])
    run = finished_run(further, tmp_path)
    told_of = {(c.step, c.network, c.ipc): c.times for c in costs(run.profile, Images.of(run.profile))}
    made = {(t.step, t.network, t.ipc): len(t.seconds) for t in timings(run)}
    del told_of["teacher", "convnet-8", None]  # told always, and asked for soft labels only
    # the image nearest to the mean is herding's and k-centre's: one set, with one student
    assert told_of.pop(("herding", "", 1)) == 1
    told_of["train", "convnet-8, hard labels", 1] -= 1
    pixels = sum(told_of.pop(("pixels", "", ipc)) for ipc in (1, 2))
    assert len(list(run.store.root.glob("pixels/*/run.json"))) == pixels - 1
    assert made == told_of


@pytest.mark.parametrize("step", ["encode", "cluster", "relabel", "teacher"])
def test_files_have_the_bytes_that_were_told(finished, step):
    """Up to headers, class tables and, of the codebooks, counts and histories: 5 kB a class and 10 %."""
    for cost in costs(finished.profile, Images.of(finished.profile)):
        if cost.step == step:
            folders = (finished.store.root / step).iterdir()
            sizes = [sum(p.stat().st_size for p in f.rglob("*.safetensors")) for f in folders]
            assert any(cost.writes <= size <= 1.1 * cost.writes + 5_000 * 10 for size in sizes)


def test_soft_labels_of_the_paper_take_6_30_60_and_120_gigabytes():
    assert [label_bytes(1000 * ipc, 1000, 300) / 1e9 for ipc in (10, 50, 100, 200)] == [6, 30, 60, 120]


def test_latents_of_imagenet_take_42_gigabytes_and_its_prototypes_11_8():
    found = {c.step: c for c in costs(PAPER.replace(ipc=[10, 50, 100, 200]), IMAGENET)}
    assert found["encode"].writes / 1e9 == pytest.approx(41.98, abs=0.01)
    assert found["cluster"].writes / 1e9 == pytest.approx(11.80, abs=0.01)
    assert found["encode"].memory == 2 * (859_520_964 + 83_653_863 + 123_060_480)


def test_encoding_and_synthesis_are_images_times_networks():
    prior, found = prior_of(PAPER, 3), {(c.step, c.ipc): c for c in costs(PAPER, IMAGENET)}
    assert found["encode", None].flops == 1_281_167 * prior.encode
    per_image = found["synthesize", 100].flops / 100_000
    assert per_image == pytest.approx(72 * prior.call + prior.decode, rel=1e-3)  # and the prompts, once each
    assert found["train", 10].flops == 10_000 * 300 * classifier("resnet18", 1000, 3, 224).training


def test_the_exact_score_is_paid_by_the_latents_of_a_class_and_fits_nothing():
    """4 n c h w operations a call, 21 calls at strength 0.7 of 30, for ImageNet's classes of 1,281 latents."""
    exact = PAPER.replace(prior="exact", locality="global", guidance_scale=1.0, n_steps=30, teacher_size=256)
    found = {(c.step, c.ipc): c for c in costs(exact, IMAGENET)}
    prior = prior_of(exact, 3)
    assert prior.latent_shape == (32, 32, 32) and ("prior", None) not in found
    assert found["encode", None].flops == 1_281_167 * prior.encode
    assert found["synthesize", 10].flops == 10_000 * (21 * 4 * 1281 * 32**3 + prior.decode)
    local = {(c.step, c.ipc): c for c in costs(exact.replace(locality="local"), IMAGENET)}
    more = local["synthesize", 10].flops - found["synthesize", 10].flops
    assert more == 10_000 * 21 * 2 * 1281 * 32**2 * 64
    guided = {(c.step, c.ipc): c for c in costs(exact.replace(guidance_scale=2.0), IMAGENET)}
    against = guided["synthesize", 10].flops - found["synthesize", 10].flops
    assert against == pytest.approx(10_000 * 21 * 4 * 1_281_167 * 32**3, rel=1e-5)  # the cloud of all classes


def test_a_teacher_that_sees_more_than_students_is_counted_at_its_size():
    one, two = (
        {(c.step, c.ipc): c for c in costs(PAPER.replace(image_size=112, teacher_size=size), IMAGENET)}
        for size in (0, 224)
    )
    seen = {size: classifier("resnet18", 1000, 3, size) for size in (112, 224)}
    assert one["relabel", 10].flops == 10_000 * 300 * seen[112].forward
    assert two["relabel", 10].flops == 10_000 * 300 * seen[224].forward
    assert one["train", 10].flops == two["train", 10].flops == 10_000 * 300 * seen[112].training


def test_a_class_that_is_encoded_and_forgotten_is_paid_with_its_clusters():
    kept, passing = (costs(PAPER.replace(keep_latents=keep), IMAGENET) for keep in (True, False))
    flops_of = [sum(c.flops for c in found if c.step in ("encode", "cluster")) for found in (kept, passing)]
    assert flops_of[0] == flops_of[1] and "encode" not in {c.step for c in passing}


def test_students_of_an_own_protocol_are_told_with_its_epochs_and_its_views():
    """D4M's has the views of the paper's, so stored labels serve both; RDED's has other ones."""
    rows = Profile.load("imagenet", {"methods": ["d4m", "rded"], "n_student_seeds": 1})
    found, network = {(c.step, c.network): c for c in costs(rows, IMAGENET)}, classifier("resnet18", 1000, 3, 224)
    assert found["relabel", ""].times == 2
    own = {name: found["train", f"resnet18, {METHODS[name].title}, own protocol"] for name in rows.methods}
    assert [own[name].times for name in rows.methods] == [1, 1]
    assert own["d4m"].flops == found["train", "resnet18, soft labels"].flops == 10_000 * 300 * network.training
    assert own["rded"].flops == 10_000 * 300 * (network.training + network.forward)
    assert (own["d4m"].together, own["rded"].together) == (512, 50)  # a batch has two parts
    alone = {(c.step, c.network): c.times for c in costs(rows.replace(targets=["own"]), IMAGENET)}
    assert alone["relabel", ""] == 1 and ("train", "resnet18, soft labels") not in alone


def test_a_run_without_a_student_costs_nothing():
    whole = PAPER.replace(methods=["full"])
    assert cost_table(run_cost(whole, IMAGENET, A6000)).rows[-1][4] == 0


def test_a_teacher_that_is_asked_while_training_stores_nothing_and_works_for_every_student():
    stored, online = (
        {(c.step, c.ipc): c for c in costs(PAPER.replace(soft_labels=kind), IMAGENET)} for kind in ("stored", "online")
    )
    assert ("relabel", 10) not in online
    more = online["train", 10].flops - stored["train", 10].flops
    assert more == stored["relabel", 10].flops
    assert stored["train", 10].reads - online["train", 10].reads == label_bytes(10_000, 1000, 300)


@pytest.mark.parametrize(("name", "megabytes"), [("resnet18", 22.2), ("resnet50", 86.0), ("resnet101", 127.1)])
def test_a_network_keeps_of_an_image_what_was_measured_by_hooks(name, megabytes):
    """On the CPU, at 224 pixels in float32, by saved_tensors_hooks of torch 2.14."""
    assert classifier(name, 1000, 3, 224).activations / 1e6 == pytest.approx(megabytes, abs=0.1)


def test_what_is_kept_on_the_meta_device_is_what_is_kept_on_the_cpu_and_half_of_it_in_bfloat16():
    """Beside the weights, which autocast casts once, whatever the batch."""
    network, kept = make_network("resnet18", 10, 3, 64, torch_rng(0, "n")), {}
    for n in (2, 4):
        images = torch.rand(n, 3, 64, 64, generator=torch_rng(0, "images"))
        kept[n] = activations(network, images)
        with torch.autocast("cpu", torch.bfloat16):
            kept[n, "half"] = activations(network, images)
    assert kept[2] == 2 * classifier("resnet18", 10, 3, 64).activations
    assert 0.5 < (kept[4, "half"] - kept[2, "half"]) / (kept[4] - kept[2]) < 0.6


def test_memory_is_told_by_network_and_the_card_that_it_fits_on():
    """Section 3 of the paper's setting: batches of 1,024 in two parts."""
    networks = PAPER.replace(students=["resnet18", "resnet50", "resnet101"], ipc=[200], accumulate=2)
    found = {m.network.partition(",")[0]: m for m in training_memory(run_cost(networks, IMAGENET, A6000))}
    assert {m.mapped for m in found.values()} == {200_000 * 3 * 224**2}  # 30 GB, on the disk
    assert found["resnet18"].whole == 16 * 11_689_512 + 4 * 1024 * 3 * 224**2 + 512 * found["resnet18"].of_one
    assert {name: card_for(m.whole) for name, m in found.items()} == {"resnet18": 16, "resnet50": 80, "resnet101": 80}
    half = training_memory(run_cost(networks.replace(training_precision="bfloat16"), IMAGENET, A6000))
    assert sorted(card_for(m.whole) for m in half) == [8, 32, 40]
    table = memory_table(run_cost(networks, IMAGENET, A6000))
    assert "30.1 GB" in table.markdown() and "| 16 GB |" in table.markdown()
    assert card_for(1e12) is None


def test_rows_that_differ_in_their_weights_share_images_and_labels():
    found = {
        (c.step, c.ipc): c.times for c in costs(PAPER.replace(methods=["d4m", "ddoq", "ddoq_proportional"]), IMAGENET)
    }
    assert found["synthesize", 10] == found["relabel", 10] == 1 and found["train", 10] == 3


def test_with_torchvisions_weights_nothing_is_trained_on_real_images():
    given, own = (
        costs(PAPER.replace(methods=["ddoq", "full"], teacher_path=path), IMAGENET) for path in ("pretrained", "")
    )
    assert "teacher" not in {c.step for c in given} and "teacher" in {c.step for c in own}


def test_methods_without_prototypes_pay_for_none():
    steps = {c.step for c in costs(LITTLE.replace(methods=["random_real"], prior="pretrain"), Images.of(LITTLE))}
    assert steps == {"teacher", "random_real", "pixels", "relabel", "train"}


def test_an_ipc_above_the_class_size_is_refused():
    with pytest.raises(InputError, match="ipc = 351, but a class has 350 training images"):
        costs(Profile.of({"ipc": [351]}), Images.of(Profile()))


@pytest.mark.parametrize(("n", "d", "levels"), [(300, 16, [5]), (40, 900, [10, 20]), (200, 3000, [50])])
def test_the_form_of_the_samples_is_the_one_that_lloyd_takes(n, d, levels):
    passes = 10 * (SEEDING + ITERATIONS)
    form = form_of(
        torch.randn(n, d, generator=torch.Generator().manual_seed(0)), torch.ones(n).double(), levels, passes
    )
    assert takes_gram(n, d, levels, "lloyd", 10) == isinstance(form, Gram)
    direct, gram = 2 * n * d * sum(levels) * passes, n * n * (d + passes * len(levels))
    assert clustering(n, d, levels, "lloyd", 10, 1) == (gram if isinstance(form, Gram) else direct)


def test_one_pass_over_a_class_is_nothing_beside_encoding_it():
    assert 2 * 1281 * 100 * 16384 / (1281 * prior_of(PAPER, 3).encode) < 3e-6  # exercise 33-clustering


# sizes and devices


def test_sizes_are_known_by_name_and_validation_images_are_left_out():
    assert Images.of(Profile()) == Images(3500, 10, 1, 784, False)
    assert (IMAGENET.n, IMAGENET.n_classes, IMAGENET.per_class) == (1_281_167, 1000, 1281)
    assert IMAGENET.n * IMAGENET.bytes == pytest.approx(147.9e9, rel=1e-3)  # ILSVRC2012_img_train.tar
    assert Images.of(PAPER, 7, 100).n == 700 and Images.of(Profile(train_size=400)).n == 350


def test_known_sizes_are_those_of_the_data_set_itself(finished):
    assert (len(finished.dataset.train), finished.dataset.n_classes) == (Images.of(LITTLE).n, KNOWN["mnist5k"][1])


def test_a_folder_is_counted_without_opening_an_image(tmp_path):
    for name, n in (("ant", 3), ("bee", 5)):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(n):
            (tmp_path / "train" / name / f"{i}.jpg").write_bytes(b"x" * 100)
    found = Images.of(PAPER.replace(data_root=str(tmp_path)))
    assert (found.n, found.n_classes, found.bytes, found.read(3)) == (8, 2, 100, 2400)


def test_of_many_files_some_are_weighed_of_every_class(tmp_path, monkeypatch):
    monkeypatch.setattr(sizes_module, "WEIGHED", 4)
    for name, size in (("ant", 100), ("bee", 300)):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(6):
            (tmp_path / "train" / name / f"{i}.jpg").write_bytes(b"x" * (size if i % 3 == 0 else 10**4))
    found = Images.of(PAPER.replace(data_root=str(tmp_path)))
    assert (found.n, found.n_classes, found.bytes) == (12, 2, 200)


@pytest.mark.parametrize(
    ("changes", "sizes", "message"),
    [
        ({}, (0, 5), "--classes = 0, but it must be at least 1"),
        ({}, (5, None), "go together"),
        ({"dataset": "imagefolder"}, (), "is not known; set data_root"),
        ({"dataset": "imagefolder", "data_root": "nowhere"}, (), "no folder nowhere/train"),
    ],
)
def test_sizes_that_cannot_be_are_one_line(changes, sizes, message):
    with pytest.raises(InputError, match=message):
        Images.of(Profile.of(changes), *sizes)


@pytest.mark.parametrize(
    ("peak", "share"), [(0, 0.5), (-1, 0.5), (float("nan"), 0.5), (1, 0), (1, 1.1), (1, float("nan"))]
)
def test_a_device_has_a_positive_peak_and_a_share_of_it(peak, share):
    with pytest.raises(InputError):
        Device("none", peak, share)


def test_a_device_that_is_not_described_is_that_of_the_profile():
    assert device_of(PAPER) == A6000 and device_of(Profile()) == TWO_CORES
    assert device_of(PAPER, 989.0) == Device("the given device", 989.0, A6000.efficiency)
    assert Device("x", 2, 0.5).seconds(3e12) == 3


# the tables


def test_hours_of_the_paper_imply_a_third_to_a_half_of_the_peak_where_large_networks_work_and_little_elsewhere():
    implied = {(s.title[0], s.ipc): s.implied for s in paper_steps()}
    assert all(0.3 < implied[step, ipc] < 0.55 for step in "12" for ipc in (10, 100))
    assert all(0.01 < implied[step, ipc] < 0.07 for step in "34" for ipc in (10, 100))
    float32 = {(s.title[0], s.ipc): s.implied_float32 for s in paper_steps()}
    assert all(float32["3", ipc] < 0.1 and float32["4", ipc] < 0.33 for ipc in (10, 100))


def test_the_quoted_hours_are_those_that_the_paper_prints_and_are_called_so():
    table = paper_table(paper_steps(), A6000)
    assert table.column("Quoted: hours, A6000") == [8, 8, 2, 24, 1, 16, 2.5, 9]
    assert "not measured here" in table.notes[0]


def test_the_table_adds_up_all_that_the_run_makes():
    found = run_cost(Profile(), Images.of(Profile()), TWO_CORES)
    table = cost_table(found)
    assert table.column("Operations")[-1] == sum(c.times * c.flops for c in found.costs) == found.total("flops")
    assert len(table.rows) == len(found.costs) + 1
    assert table.column("Time")[-1] == found.seconds == TWO_CORES.seconds(found.total("flops"))


def test_shares_of_the_steps_add_up_to_1():
    found = run_cost(Profile(), Images.of(Profile()), TWO_CORES)
    assert sum(found.share(step) for step in {c.step for c in found.costs}) == pytest.approx(1)
    assert found.share("prior") == found.total("flops", "prior") / found.total("flops")


def test_a_cost_of_no_operations_takes_no_time():
    table = cost_table(run_cost(LITTLE, Images.of(LITTLE), TWO_CORES))
    drawn = next(row for row in table.rows if row[1] == "draw real images")
    assert drawn[4] == 0 and drawn[-1] is None


def test_the_measured_table_has_the_seconds_of_run_json(finished):
    found = measured_run(finished)
    table = measured_table(found, TWO_CORES)
    assert {row[0] for row in table.rows} == {
        "Before",
        *(f"{i} {x}" for i, x in enumerate(("Latent clustering", "Synthesis", "Soft label", "Training"), 1)),
        "All",
    }
    encode = next(row for row in table.rows if row[1] == "encode")
    assert encode[4].seconds == (finished.latents.run["seconds"],)
    assert found.n == table.column("n")[-1] == sum(table.column("n")[:-1])
    assert found.seconds() == pytest.approx(sum(found.seconds(step) for step in {p.cost.step for p in found.parts}))


def test_of_two_artifacts_both_are_shown_and_of_more_the_mean_with_its_interval():
    shown = {n: seconds_form(Timing("encode", "", None, tuple(range(30, 30 + n)))) for n in (1, 2, 3)}
    assert shown == {1: "30 s", 2: "30 s and 31 s", 3: "31 s ± 2.5 s"}  # t(2) = 4.303, / sqrt(3)


def test_a_run_that_is_not_finished_has_no_measured_table(tmp_path):
    with pytest.raises(InputError, match="is not finished"):
        timings(Run(Profile.of({"artifacts": str(tmp_path)})))


def test_a_speed_is_that_of_the_mean_time_and_a_mean_speed_the_mean_of_speeds():
    cost = costs(PAPER, IMAGENET)[0]
    found = MeasuredCost(cost, Timing(cost.step, "", None, (1.0, 3.0)))
    assert found.speed == pytest.approx(cost.flops / 2)
    assert found.mean_speed.value == pytest.approx((cost.flops + cost.flops / 3) / 2) and found.mean_speed.n == 2


def test_what_makes_no_operations_has_no_speed(finished):
    (drawn,) = [p for p in measured_run(finished).parts if (p.cost.step, p.cost.ipc) == ("random_real", 1)]
    assert drawn.speed is None and drawn.mean_speed is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.25 s"), (45, "45 s"), (600, "10 min"), (9000, "2.5 h"), (2e5, "2.31 d")]
)
def test_a_duration_is_read_in_its_own_unit(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(999, "999 B"), (41.98e9, "42 GB"), (999.6e6, "1 GB"), (0, "0 B")])
def test_an_amount_has_three_digits_and_a_decimal_prefix(value, text):
    assert amount(value, "B") == bytes_form(value) == text


def test_no_operations_are_0_without_a_unit():
    assert (flops_form(0), flops_form(2e9)) == ("0", "2 GFLOP")


def commands(profile: str) -> list[tuple[dict, str]]:
    """Parameters and time of every command in the header of a profile."""
    lines = re.findall(rf"^# +ddoq run --profile {profile} \.\.\.(.*)# +(.*)$", find_profile(profile).read_text(), re.M)
    assignments = [[parse_assignment(text) for text in shlex.split(given) if text != "-p"] for given, _ in lines]
    return [(dict(given), time) for given, (_, time) in zip(assignments, lines, strict=True)]


@pytest.mark.parametrize(
    ("name", "number"), [("imagenet_dit", 0), *(("imagenet", i) for i in range(len(commands("imagenet"))))]
)
def test_the_header_of_the_imagenet_profile_gives_the_times_that_are_counted(name, number):
    given, time = commands(name)[number]
    profile = Profile.load(name, given)
    assert duration(run_cost(profile, Images.of(profile), A6000).seconds) == time


def test_the_imagenet_profile_asks_for_the_claim_itself_and_names_every_other_row_and_level():
    profile, told = Profile.load("imagenet"), [Profile.load("imagenet", given) for given, _ in commands("imagenet")]
    assert (profile.methods, profile.ipc, profile.targets) == (["d4m", "ddoq"], [10], ["soft", "own"])
    one_pass = {"quantizer": "minibatch", "n_passes": 1, "start": "samples"}
    assert profile.subset(*one_pass) == one_pass and profile.test_crop == 0.875
    assert {ipc for p in told for ipc in p.ipc} == {10, 50, 100, 200} and "lloyd" in {p.quantizer for p in told}
    assert {s for p in told for s in p.students} == {"resnet18", "resnet50", "resnet101"}
    assert {m for p in told for m in p.methods} >= {"random_real", "full", "rded", "sre2l", "cda", "ddoq_proportional"}
