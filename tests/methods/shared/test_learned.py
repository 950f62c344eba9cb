"""A learned set keeps what was learned."""

import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.methods.shared.learned import floats_of

STEPS = {  # knob with the number of steps, of every row that learns its images
    name: knob
    for knob, field in Profile.knobs().items()
    if knob.endswith("_steps") and knob not in ("dream_network_steps", "tesla_steps")
    for name in field.metadata.get("methods", ())
}


@pytest.mark.parametrize("name", STEPS)
def test_a_set_keeps_the_images_of_its_last_step(run_on_squares, name):
    fewer, more = (
        floats_of(run_on_squares(tesla_ipc=[2], **{STEPS[name]: n}).distilled(name, 2))["images"] for n in (2, 5)
    )
    assert not fewer.equal(more)
