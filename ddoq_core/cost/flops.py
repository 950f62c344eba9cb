"""Operations and parameters of the networks of a profile, for one image.

In: the names of a profile. Out: counts, with a multiply-add as two operations. Counts of the published networks, at the
sizes of the shipped profiles, are in `counts.json`, which needs only the light core. Others are counted when needed
(`counting`), with the extra `pipeline`.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

from ..config.profile import Profile
from ..priors.load import SIZE
from .counts import Classifier, Prior

COUNTS = Path(__file__).with_name("counts.json")


def classifier(name: str, n_classes: int, channels: int, image_size: int) -> Classifier:
    """Costs of the network with this name; InputError for an unknown name, or images of a size it does not take."""

    def count() -> Classifier:
        from .counting import count_classifier

        return count_classifier(name, n_classes, channels, image_size)

    return Classifier(**_known(f"{name}, {n_classes} classes, {channels} x {image_size} x {image_size}", count))


def prior_of(profile: Profile, channels: int) -> Prior:
    """The prior of a profile: fitted by the run, read from its folder, or the published one.

    Raises:
        InputError: prior_path is a folder of another layout, or is missing for a prior without published counts; or
            the fitted prior does not take images of this size.
    """

    def count() -> Prior:
        from .counting import count_prior

        return count_prior(profile, channels)

    fitted, own = profile.keyed(*SIZE), profile.prior == "exact" or profile.autoencoder_path
    if profile.prior == "pretrain" and not fitted and not own:
        found = _known(f"pretrain, {channels} x {profile.picture_size} x {profile.picture_size}", count)
    elif profile.prior == "pretrain" or own or (profile.prior_path and Path(profile.prior_path).is_dir()):
        found = asdict(count())
    else:
        found = _known(profile.prior, count)
    return Prior(**found | {"latent_shape": tuple(found["latent_shape"])})


def _known(what: str, count: Callable[[], Classifier | Prior]) -> dict:
    """Counts by name; new counts are cached in this process."""
    if what not in known_counts():
        known_counts()[what] = asdict(count())
    return known_counts()[what]


@cache
def known_counts() -> dict[str, dict]:
    """The shipped counts, and those made in this process."""
    return json.loads(COUNTS.read_text())
