"""`ddoq` that halts for good at the first picture that its prior makes, whatever the speed of the machine."""

import time

from ddoq_core.cli import main
from ddoq_core.pipeline import synthesize

write_image = synthesize.write_image


def write_and_halt(*image) -> None:
    write_image(*image)
    time.sleep(3600)


if __name__ == "__main__":
    synthesize.write_image = write_and_halt
    main()
