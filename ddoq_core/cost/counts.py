"""Counts of a network: its parameters, and its operations on one image."""

from dataclasses import dataclass

from ..config.profile import Profile


@dataclass(frozen=True)
class Classifier:
    """A teacher or a student, and its operations on one image."""

    parameters: int
    forward: int
    training: int  # forward and backward
    activations: int  # bytes in float32 that a forward pass keeps for the backward pass


def exact_score(points: int, latent_shape: tuple[int, int, int], windows: bool) -> int:
    """Operations of the exact score of a cloud of points at one latent (`priors.exact.posterior_mean`)."""
    c, h, w = latent_shape
    return 4 * points * c * h * w + windows * 2 * points * h * w * (h + w)


@dataclass(frozen=True)
class Prior:
    """A latent diffusion model, and its operations on one image."""

    name: str
    latent_shape: tuple[int, int, int]  # channels, height, width
    image_size: int
    parameters: int  # in all its parts
    largest: int  # parameters of the larger of autoencoder and network
    encode: int  # E(x)
    decode: int  # D(z)
    call: int  # one prediction of the noise, without guidance; 0 for the exact score, as it depends on the data
    embed: int  # the conditioning of one class; a row of a table costs nothing
    train_autoencoder: int  # a training step of each, as in `pretrain`
    train_network: int
    order: int  # timesteps per step of its own scheduler
    extra: int  # additional timesteps: PNDM runs its first step twice

    def calls(self, profile: Profile, *, from_noise: bool = False) -> int:
        """Network calls for one image, with guidance: the timesteps that `LatentDiffusion.denoise` runs."""
        run = profile.n_steps if from_noise else min(int(profile.n_steps * profile.strength), profile.n_steps)
        own = profile.sampler == "checkpoint"
        timesteps = run * self.order + self.extra if own and run else run
        return timesteps * (2 if profile.guidance_scale > 1 else 1)
