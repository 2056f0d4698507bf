"""``python -m asr``, which is also how torchrun starts the processes of a distributed training."""

import sys

from asr.cli import main

if __name__ == "__main__":
    sys.exit(main())
