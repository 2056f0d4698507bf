"""Named, versioned rules that say which spellings count as the same text.

In: a transcript as a person or a system wrote it. Out: the text that is compared. A report names the normaliser by its
label ("basic v1") because a change of rules moves scores (open_asr_leaderboard#135): whoever changes what a normaliser
does raises its version. Every normaliser composes Unicode first, so that an accented letter equals a letter followed by
its accent (NFC against NFD is 100% WER otherwise), and every one is idempotent: normalising twice changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from asr.errors import ConfigError
from asr.text.basic import normalize_basic, normalize_none
from asr.text.english import normalize_english

__all__ = ["NORMALIZERS", "Normalizer", "get_normalizer", "normalize_basic", "normalize_none"]


@dataclass(frozen=True, slots=True)
class Normalizer:
    """A function from text to compared text, with the name and the version that reports print.

    ``addition`` names what was put on top of it, such as a person's own replacements.
    """

    name: str
    version: int
    function: Callable[[str], str]
    addition: str = ""

    def __call__(self, text: str) -> str:
        return self.function(text)

    @property
    def label(self) -> str:
        """What a report prints: ``basic v1``, ``basic v1 + my.glm 3fa9c1``."""
        return f"{self.name} v{self.version}{self.addition}"


NORMALIZERS: dict[str, Normalizer] = {
    "none": Normalizer("none", 1, normalize_none),
    "basic": Normalizer("basic", 1, normalize_basic),
    "english": Normalizer("english", 1, normalize_english),
}


def get_normalizer(name: str) -> Normalizer:
    """The normaliser of that name; raises ConfigError naming the choices."""
    if name not in NORMALIZERS:
        choices = ", ".join(NORMALIZERS)
        raise ConfigError(f"normalizer {name!r} is unknown; choose one of: {choices}")
    return NORMALIZERS[name]
