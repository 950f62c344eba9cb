"""The `ddoq` command with students whose batch norm takes the statistics of the whole batch, over all processes."""

from torch import nn

from ddoq_core.cli import main
from ddoq_core.pipeline import train

plain = train.make_network
train.make_network = lambda *shape: nn.SyncBatchNorm.convert_sync_batchnorm(plain(*shape))

if __name__ == "__main__":
    main()
