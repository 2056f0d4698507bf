"""The parser of a verb's arguments: argparse's, whose errors are one line with the way to the help.

In: as ``argparse.ArgumentParser``. Out: the arguments, or a UsageError; argparse prints a page of usage before it.
"""

import argparse
from typing import NoReturn

from asr.errors import UsageError


class Parser(argparse.ArgumentParser):
    """argparse's parser; ``prog`` is the command as it is typed, such as ``asr lm build``."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message}; see {self.prog} --help")
