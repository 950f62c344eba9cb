"""What only a GPU can prove: that it agrees with the CPU for the same draws. `make test-gpu` on a machine with CUDA."""

import pytest
import torch

from ddoq_core.config.profile import Profile
from ddoq_core.methods import SMALL
from ddoq_core.runs.run import Run

from .agreement import CHECKS, deterministic

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize("name", CHECKS)
def test_a_step_on_the_gpu_agrees_with_the_cpu(name):
    with deterministic():
        found = list(CHECKS[name]("cuda"))
    assert found and [agreement for agreement in found if not agreement.holds] == []


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
    with deterministic():
        for device in ("cpu", "cuda"):
            run = Run(Profile.of(values | {"device": device, "artifacts": str(tmp_path / device)}))
            made.append(run.distilled(name, 1).images())
    assert (made[0] - made[1]).abs().mean() < 0.02
