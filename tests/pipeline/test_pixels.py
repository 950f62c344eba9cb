"""The file of pixels: what the PNG files hold, mapped; and training from it in little memory, in parts if need be."""

import re
import subprocess
import sys

import pytest
import torch

from ddoq_core.errors import InputError
from ddoq_core.methods.random_real import random_real
from ddoq_core.networks.classifiers import make_network
from ddoq_core.pipeline import fit_student
from ddoq_core.pipeline.fit_student import gradient, has_batch_statistics
from ddoq_core.pipeline.pixels import FILE, fetched, mapped_pixels
from ddoq_core.processes import Processes
from ddoq_core.randomness import torch_rng


def test_the_file_holds_the_images_and_is_made_once(store, squares, tiny, contents):
    made = random_real(store, squares, tiny, ipc=2, distill_seed=0)
    pixels = mapped_pixels(store, made)
    assert pixels.dtype == torch.uint8 and pixels.equal(made.pixels())
    (folder,) = (store.root / "pixels").iterdir()
    stamp = (folder / FILE).stat().st_mtime_ns
    mapped_pixels(store, made)
    assert (folder / FILE).stat().st_mtime_ns == stamp
    pixels[0] = 0  # what a reader writes stays with it
    assert mapped_pixels(store, made).equal(made.pixels())


def test_each_set_has_its_own_file_and_rows_of_it_are_fetched(store, squares, tiny):
    one, two = (random_real(store, squares, tiny, ipc=2, distill_seed=i) for i in (0, 1))
    mapped_pixels(store, one), mapped_pixels(store, two)
    assert len(list((store.root / "pixels").iterdir())) == 2
    assert fetched(mapped_pixels(store, one), torch.tensor([3, 0]), torch.device("cpu")).equal(one.pixels()[[3, 0]])


def test_a_gpu_is_given_what_it_asked_for_from_pinned_memory_and_nothing_else(monkeypatch):
    """Of tensors that note what is asked of them, since there is no GPU here."""
    asked, pixels = [], torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: asked.append(self.flatten().tolist()) or self)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *where, **how: asked.append((*where, how)) or self)
    gpu, rows = torch.device("cuda"), torch.tensor([3, 0])
    fetched(pixels, rows, gpu)
    assert asked == [(torch.device("cpu"), {}), [3, 0], (gpu, {"non_blocking": True})]


LITTLE = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np, torch
from ddoq_core.config.profile import Profile
from ddoq_core.cost.flops import classifier
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.networks.classifiers import make_network
from ddoq_core.pipeline.fit_student import fit, weighted_kl
from ddoq_core.pipeline.lessons import Lessons
from ddoq_core.randomness import torch_rng
from ddoq_core.store.artifacts import Workspace

torch.set_num_threads(1)
n, side, batch, steps, name = 20_000, 224, 20, 10, "convnet-8"
none = Split(torch.zeros(0, dtype=torch.int64), [], [], side)
names = {"class_ids": ["a"] * 10, "class_names": ["a"] * 10, "prompts": ["a"] * 10}
data = Dataset("black", none, none, none, **names, image_size=side, channels=3, mean=(.5,) * 3, std=(.5,) * 3, key="")
profile = Profile.of({"image_size": side, "batch_size": batch, "epochs": 1, "crop_scale": 0.08})
folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
pixels = torch.from_numpy(np.memmap(folder / "pixels", np.uint8, "w+", shape=(n, 3, side, side)))
targets = lambda epoch, views: lambda rows, images: images.new_zeros(len(rows), 10)
lessons = Lessons(pixels, torch.ones(n), data, profile, 0, targets, 1)
network = make_network(name, 10, 3, side, torch_rng(0, "x"))
counts, made = classifier(name, 10, 3, side), []

def ten(self, epoch, batches=Lessons.batches):
    for step, found in zip(range(steps), batches(self, epoch)):
        made.append(found[0].shape)
        yield found

Lessons.batches = ten
Lessons.shares = property(lambda self: [(own, 1.0) for own in torch.arange(steps * batch).split(batch)])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
fit(Workspace(folder), network, lessons, lambda *b: weighted_kl(*b, 1.0, "forward"))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
assert made == [(batch, 3, side, side)] * steps, made
print(pixels.numel(), after - before, 16 * counts.parameters + batch * counts.activations)
"""


def test_ten_steps_at_224_pixels_from_20000_images_take_less_than_a_gigabyte_above_model_and_activations(tmp_path):
    """The file is of 3 GB, sparse on the disk; a process of its own, so that its peak is its own."""
    done = subprocess.run([sys.executable, "-c", LITTLE, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole, more, counted = map(int, done.stdout.split())
    assert whole > 3e9 and more - counted < 1e9, f"{(more - counted) / 1e9:.2f} GB"


# ---- a batch that does not fit


def batch_of(n: int = 8) -> tuple[torch.Tensor, ...]:
    rng = torch_rng(0, "batch")
    return torch.randn(n, 1, 16, 16, generator=rng), torch.randn(n, 3, generator=rng).log_softmax(1), torch.ones(n)


def limited(network, most: int, seen: list[int]):
    """The loss of a part on a device whose memory takes `most` images."""

    def part_loss(images, log_p, weights):
        logits = network(images)  # batch norm has moved when memory ends
        if len(images) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        seen.append(len(images))
        return fit_student.weighted_kl(logits, log_p, weights, 1.0, "forward") * len(images) / 8

    return part_loss


@pytest.mark.parametrize("name", ["convnet-4", "convnet-4-bn"])
def test_a_batch_that_does_not_fit_is_cut_and_said_so(name, capsys):
    network, twin = (make_network(name, 3, 1, 16, torch_rng(0, "n")) for _ in range(2))
    seen = []
    assert gradient(network, limited(network, 3, seen), batch_of(), 1) == 4 and seen == [2, 2, 2, 2]
    said = capsys.readouterr().err.splitlines()
    assert [re.sub(r";.*", "", line) for line in said] == [
        f"ddoq: a batch of 8 does not fit into memory, split into {parts} parts" for parts in (2, 4)
    ]
    if has_batch_statistics(network):
        assert "batch norm now takes its statistics over 2 images, another recipe" in said[1]
        gradient(twin, limited(twin, 8, []), batch_of(), 4)  # as if the recipe had said so: nothing is left of the try
        for mine, whole in zip(network.buffers(), twin.buffers(), strict=True):
            assert mine.equal(whole)
    else:
        assert said[1].endswith("the gradient is the same")
        gradient(twin, limited(twin, 8, []), batch_of(), 1)
    for mine, whole in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, whole.grad, rtol=1e-4, atol=1e-6)


def test_an_image_that_does_not_fit_is_one_clear_line():
    network = make_network("convnet-4", 3, 1, 16, torch_rng(0, "n"))
    with pytest.raises(InputError, match="1 images of a batch do not fit into the memory of the GPU; set accumulate"):
        gradient(network, limited(network, 0, []), batch_of(), 1)


def test_processes_that_train_one_student_do_not_cut_each_for_itself(monkeypatch):
    network = make_network("convnet-4", 3, 1, 16, torch_rng(0, "n"))
    monkeypatch.setattr(fit_student, "world", lambda: Processes(0, 2))
    with pytest.raises(InputError, match="set accumulate to more than 1"):
        gradient(network, limited(network, 3, []), batch_of(), 1)
