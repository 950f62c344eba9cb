"""CDA: SRe²L whose crops begin with the whole image."""

import json

import pytest
import torch

from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.methods import sre2l
from ddoq_core.methods.cda import METHOD, curriculum_crop
from ddoq_core.methods.method import MethodRun
from ddoq_core.randomness import torch_rng
from ddoq_core.store.artifacts import Store

from ..stand_ins import stand_in

SIZE = 16
STEPS = 10
PROFILE = Profile.of(
    {"image_size": SIZE, "inversion_network": "convnet-8-bn", "teacher_epochs": 1, "inversion_iterations": STEPS}
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """As much of a run as the method asks for: two classes of noise."""
    images = torch.randint(0, 256, (8, 1, SIZE, SIZE), generator=torch_rng(0, "noise")).to(torch.uint8)
    split = Split(torch.arange(8) % 2, [f"train/{i}" for i in range(8)], images, SIZE)
    dataset = Dataset(
        "noise", split, split, split, class_ids=["0", "1"], class_names=["a", "b"], prompts=["a", "b"],
        image_size=SIZE, channels=1, mean=(0.5,), std=(0.3,), key="noise",
    )  # fmt: skip
    return stand_in(MethodRun, profile=PROFILE, store=Store(tmp_path_factory.mktemp("store")), dataset=dataset)


def test_the_smallest_crop_falls_from_the_whole_image_to_its_final_share_along_a_cosine():
    for size, last in ((224, 0.08), (32, 0.5)):
        curve = curriculum_crop(size)
        assert curve(0.0) == 1.0
        assert curve(0.5) == pytest.approx((1 + last) / 2)
        assert curve(1.0) == pytest.approx(last)
        falling = [curve(t / 100) for t in range(101)]
        assert falling == sorted(falling, reverse=True)


def test_no_crop_of_a_step_is_smaller_than_the_curve_allows(run, monkeypatch):
    monkeypatch.setattr(sre2l, "BATCH", 4)
    drawn, cropped = [], sre2l.cropped

    def seen(images, crop, mirrored):
        drawn.append(crop[0, 2:])
        return cropped(images, crop, mirrored)

    monkeypatch.setattr(sre2l, "cropped", seen)
    METHOD.distill(run, 2, 0)
    assert len(drawn) == STEPS and drawn[0].tolist() == [SIZE, SIZE]
    for t, (height, width) in enumerate(drawn):  # the sides are rounded to pixels
        assert (height + 0.5) * (width + 0.5) >= curriculum_crop(SIZE)(t / STEPS) * SIZE**2
    assert min(float(h * w) for h, w in drawn) < 0.9 * SIZE**2


def test_cda_and_sre2l_are_different_sets_of_the_same_network(run, monkeypatch):
    monkeypatch.setattr(sre2l, "BATCH", 4)
    made = [method.distill(run, 1, 0) for method in (METHOD, sre2l.METHOD)]
    blocks = [json.loads(p.read_text()) for p in run.store.root.glob("*_images/*/manifest.json")]
    assert {b["step"] for b in blocks} == {"cda_images", "sre2l_images"}
    assert len({tuple(b["inputs"]) for b in blocks}) == 1
    assert not made[0].images().equal(made[1].images())
