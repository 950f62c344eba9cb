"""What only a GPU can prove: that it agrees with the CPU for the same draws. `make test-gpu` on a machine with CUDA.

Tolerances: float32 with TF32 off differs by rounding (1e-4 relative); half precision by its 11 bits over 10 steps.
"""

import pytest
import safetensors.torch
import torch

from ddoq_book.ch22.toy_imagenet import PRIORS
from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.methods import SMALL
from ddoq_core.methods.random_real import random_real
from ddoq_core.pipeline.teacher import teacher as make_teacher
from ddoq_core.pipeline.train_student import train
from ddoq_core.priors.load import load_prior
from ddoq_core.quantization import best_of_restarts, lloyd
from ddoq_core.randomness import numpy_rng, torch_rng
from ddoq_core.runs.run import Run
from ddoq_core.store import checkpoints
from ddoq_core.store.artifacts import Store

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
CLASSES = [{"index": i, "directory": w, "name": w, "prompt": w} for i, w in enumerate(("n01440764", "n03888257"))]


@pytest.fixture(autouse=True)
def deterministic(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def noise():
    return [torch_rng(0, "gpu", i) for i in range(2)]


@pytest.mark.parametrize("kind", PRIORS)
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("float16", 0.1), ("bfloat16", 0.3)])
def test_the_same_draws_become_the_same_images(tmp_path, kind, precision, tolerance):
    PRIORS[kind](tmp_path)
    made = []
    for device, numbers in (("cpu", "float32"), ("cuda", precision)):
        prior = load_prior(tmp_path, device=device, precision=numbers)
        latents = torch.randn(2, *prior.latent_shape, generator=torch_rng(0, "latents"))
        conditioning = prior.embed(CLASSES)
        found = prior.denoise(latents, conditioning, strength=0.7, guidance=4.0, steps=10, noise=noise())
        made.append(prior.decode(found).cpu())
    assert (made[0] - made[1]).abs().max() < tolerance


def test_lloyd_finds_the_same_codebook():
    X = torch.from_numpy(numpy_rng(0, "gpu").standard_normal((2000, 300))).float()
    start = X[:20].clone()
    cpu, gpu = lloyd(X, start), lloyd(X.cuda(), start.cuda())
    assert gpu.distortion == pytest.approx(cpu.distortion, rel=1e-4) and int(gpu.counts.sum()) == 2000


def test_restarts_share_a_gram_matrix_on_the_gpu_too():
    X = torch.from_numpy(numpy_rng(0, "gpu").standard_normal((300, 4000))).float()
    cpu, gpu = (best_of_restarts(Y, 10, n_restarts=5, rng=numpy_rng(0, "starts")) for Y in (X, X.cuda()))
    assert gpu.distortion == pytest.approx(cpu.distortion, rel=1e-3)


def test_a_student_on_the_gpu_ends_as_it_would_without_an_interruption(tmp_path, monkeypatch):
    from ddoq_core.pipeline import train_student as module

    split = Split(
        torch.arange(2).repeat_interleave(20), [str(i) for i in range(40)],
        torch.randint(0, 255, (40, 3, 32, 32), generator=torch_rng(0, "pixels")).to(torch.uint8), 32,
    )  # fmt: skip
    data = Dataset(
        "noise", split, split, split, class_ids=["a", "b"], class_names=["a", "b"], prompts=["a", "b"], image_size=32,
        channels=3, mean=(0.5,) * 3, std=(0.3,) * 3, key="noise",
    )  # fmt: skip
    profile = Profile(device="cuda", epochs=6, teacher_epochs=1, teacher="convnet-8", batch_size=8, image_size=32)
    ended = []
    for name in ("whole", "cut"):
        store = Store(tmp_path / name)
        distilled, judge = random_real(store, data, profile, ipc=10, distill_seed=0), make_teacher(store, data, profile)
        knobs = {"student": "convnet-8", "target": "soft", "weights": "sqrt", "student_seed": 0, "label_seed": 0}
        if name == "cut":
            monkeypatch.setattr(checkpoints, "EVERY", 0)
            real, seen = module.rate, []

            def dying(epoch, real=real, seen=seen, **knobs):
                seen.append(epoch)
                if len(seen) == 4:
                    raise KeyboardInterrupt
                return real(epoch, **knobs)

            monkeypatch.setattr(module, "rate", dying)
            with pytest.raises(KeyboardInterrupt):
                train(store, distilled, data, judge, None, profile, **knobs)
            monkeypatch.setattr(module, "rate", real)
        made = train(store, distilled, data, judge, None, profile, **knobs)
        ended.append(safetensors.torch.load_file(made.path / "student.safetensors"))
    for key, value in ended[0].items():
        torch.testing.assert_close(value, ended[1][key], rtol=0, atol=1e-5)


LEARNED = ("dc", "dsa", "dream", "dm", "mtt", "haba", "dd", "rtp", "kip", "label_solve", "rfad", "frepo", "robust")
ON_PRIORS = ("wmdd", "glad", "ld3m", "minimax", "mgd3", "ot_guided")


@pytest.mark.parametrize("name", ["tesla", "sre2l", "cda", "rded", "herding", "el2n", *LEARNED, *ON_PRIORS])
def test_a_method_moves_its_images_as_on_the_cpu(tmp_path, name):
    """A few steps: later, differences of rounding grow."""
    values = SMALL | {"methods": [name], "ipc": [1], "train_size": 100, "teacher": "convnet-8", "teacher_epochs": 1}
    values |= {"vae_epochs": 1, "diffusion_epochs": 1, "n_steps": 3}
    values |= {"inversion_network": "convnet-8-bn", "inversion_iterations": 3, "rded_images": 5}
    values |= {"tesla_network": "convnet-8", "tesla_experts": 1, "tesla_epochs": 2, "tesla_iterations": 2}
    made = []
    for device in ("cpu", "cuda"):
        run = Run(Profile.of(values | {"device": device, "artifacts": str(tmp_path / device)}))
        made.append(run.distilled(name, 1).images())
    assert (made[0] - made[1]).abs().mean() < 0.02
