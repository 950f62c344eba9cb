"""What chapter 23 shows of the exact score: it gives training images back, and windows do not."""

import numpy as np
import pytest
from diffusers import AutoencoderTiny

from ddoq_book.ch23 import exact_score
from ddoq_book.ch23.exact_score import created_figure, estimates, estimates_figure, exact_prior_of, pictures_table
from ddoq_book.studies.photographs import NEW
from ddoq_core.errors import InputError
from ddoq_core.networks.fitting import initialised
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.run import Run


@pytest.fixture
def run(tiny, squares, tmp_path, monkeypatch):
    """The squares under the exact score, latents of four by four."""
    blocks = {"encoder_block_out_channels": (8, 8, 8), "decoder_block_out_channels": (8, 8, 8)}
    blocks |= {"num_encoder_blocks": (1, 1, 1), "num_decoder_blocks": (1, 1, 1)}
    with initialised(torch_rng(0, "23", "autoencoder")):
        AutoencoderTiny(in_channels=1, out_channels=1, latent_channels=4, **blocks).save_pretrained(tmp_path / "vae")
    monkeypatch.setattr(Run, "dataset", squares)
    return Run(
        tiny.replace(
            prior="exact", autoencoder_path=str(tmp_path / "vae"), guidance_scale=1.0, artifacts=str(tmp_path / "store")
        )
    )


def test_with_little_noise_the_global_estimate_is_a_training_latent_and_with_much_it_is_a_mean(run):
    latents, _ = run.class_latents(1)
    z = run.class_latents(0)[0][:1]  # of another class: no latent of the cloud
    little, much = estimates(exact_prior_of(run, "global"), z, 1, [0.002, 1.0], 0)[1]
    assert (latents - little).square().mean((1, 2, 3)).min() < 1e-6
    distances = (latents - much).square().sum((1, 2, 3))
    assert distances.min() > 1e-2 and (much - latents.mean(0)).square().sum() < distances.min()


def test_windows_follow_a_latent_of_their_own_each(run):
    latents, _ = run.class_latents(1)
    z = run.class_latents(0)[0][:1]
    local = estimates(exact_prior_of(run, "local"), z, 1, [0.002], 0)[1][0]
    assert (latents - local).square().mean((1, 2, 3)).min() > 1e-4  # of the global estimate below 1e-6
    of_pixels = (latents - local).square().sum(1)  # n h w: at every pixel some latent of the cloud is near, not one
    assert of_pixels.amin(0).mean() < 0.5 * of_pixels.mean((1, 2)).min()


def test_the_figures_have_a_row_for_every_kind(run):
    assert len(estimates_figure(run, 1, [0.1, 0.7]).axes) == 4 * 2
    assert len(created_figure(run, 1, 2).axes) == 5 * 2


@pytest.mark.parametrize("n", [3, 6])
def test_a_table_of_pictures_has_intervals_where_there_are_classes_enough(n):
    row = {
        "kind": "local",
        "strength": 0.7,
        "recognised": [0.5] * n,
        "nearest": [0.8] * n,
        "w2": list(np.arange(n) + 1.0),
    }
    (line,) = pictures_table([row], "caption").markdown().splitlines()[4:5]
    assert ("±" in line) == (n == 6) and "| local | 0.7 | 50" in line
    assert pictures_table([], "caption").notes == ("Nothing is recorded yet; ddoq record latents does it.",)


def test_the_recorded_pictures_are_those_of_every_class_and_of_one_with_its_weights():
    """No picture of the book is nearly a photograph."""
    about = exact_score._recorded()[1]
    assert min(map(min, about["newness"])) >= NEW
    figure = exact_score.recorded_figure()
    titles, below = [ax.get_title() for ax in figure.axes[:10]], [ax.get_xlabel() for ax in figure.axes[10:]]
    assert [title.replace("\n", " ") for title in titles] == about["classes"]
    assert below == [f"×{weight:.2f}" for weight in about["weights"]]


def test_without_recorded_pictures_the_error_says_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(exact_score, "RESULTS", tmp_path)
    with pytest.raises(InputError, match="ddoq record photographs"):
        exact_score.recorded_counts()
