"""The default YAML file of each config group, from the dataclass that the group configures.

In: the dataclasses, with their defaults and the comments after their fields. Out: the text of conf/GROUP/NAME.yaml,
which ``python -m asr.config.defaults`` (``make conf``) writes. A default is stated once, in the dataclass; conf/
shows every key with its default and its comment. Variants (conf/features/logmel8k.yaml, ...) are written by hand and
hold only their differences.
"""

import ast
import dataclasses
import inspect
import io
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asr.config.recipes import conf_dir
from asr.config.typed import ScoringConfig, SelfTrainingConfig
from asr.decoding.config import DecodingConfig
from asr.features import AugmentConfig, KaldiFbankConfig, LogMelConfig
from asr.files import write_text
from asr.models import (
    BiLstmConfig,
    ConformerConfig,
    GruConfig,
    LiGruConfig,
    LnLstmConfig,
    LstmConfig,
    MinLstmConfig,
    RnnConfig,
    TransformerConfig,
)
from asr.text.tokenizer import TokenizerConfig
from asr.training.config import DataConfig, OptimizerConfig, ScheduleConfig, TrainingConfig

COMMENT_COLUMN = 24
_KALDI = """Kaldi's filterbank (compute-fbank-feats --dither=0 --snip-edges=true), by torchaudio. In Kaldi sample_rate
is sample-frequency, window_s frame-length, frame_shift_s frame-shift, n_mels num-mel-bins, f_min_hz low-freq, f_max_hz
high-freq, window_type window-type, preemphasis preemphasis-coefficient, remove_dc_offset remove-dc-offset."""


@dataclass(frozen=True, slots=True)
class Group:
    """The config of a file, and the comment at its head."""

    config: Any
    head: str = ""


GROUPS: dict[str, Group] = {
    "augment/specaugment": Group(AugmentConfig()),
    "data/default": Group(DataConfig()),
    "decoding/beam": Group(DecodingConfig(name="beam")),
    "features/kaldi": Group(KaldiFbankConfig(), _KALDI),
    "features/logmel": Group(LogMelConfig()),
    "model/bilstm": Group(BiLstmConfig()),
    "model/conformer": Group(
        ConformerConfig(), "Attention and convolution (Gulati et al. 2020). About as many weights as bilstm."
    ),
    "model/gru": Group(GruConfig(), "The gated recurrent unit (Cho et al. 2014). About as many weights as bilstm."),
    "model/ligru": Group(
        LiGruConfig(), "The light GRU (Ravanelli et al. 2018), normalised by layer. About as many weights as bilstm."
    ),
    "model/lnlstm": Group(
        LnLstmConfig(), "Layer normalisation inside the cell (Ba et al. 2016). About as many weights as bilstm."
    ),
    "model/lstm": Group(LstmConfig(), "The LSTM in one direction. About as many weights as bilstm."),
    "model/minlstm": Group(
        MinLstmConfig(),
        "minLSTM (Feng et al. 2024): no recurrent weights, parallel over time. About as many weights as bilstm.",
    ),
    "model/rnn": Group(RnnConfig(), "Elman's plain network (1990): no gates. About as many weights as bilstm."),
    "model/transformer": Group(
        TransformerConfig(), "Self-attention with relative positions (T5). About as many weights as bilstm."
    ),
    "optimizer/adamw": Group(OptimizerConfig()),
    "schedule/cosine": Group(ScheduleConfig()),
    "scoring/basic": Group(ScoringConfig()),
    "self_training/default": Group(SelfTrainingConfig(), "With untranscribed=FOLDER: rounds of pseudo-labels."),
    "tokenizer/characters": Group(TokenizerConfig()),
    "training/default": Group(TrainingConfig()),
}


def render_group(group: Group) -> str:
    """The YAML of a group: one key a line, with the comment of its field."""
    cls = type(group.config)
    head = [f"Generated from {cls.__module__}.{cls.__qualname__} by `make conf`: change the defaults there."]
    comments = [f"# {line}" for line in [*head, *group.head.splitlines()]]
    return "\n".join([*comments, *_lines(group.config)]) + "\n"


def field_comments(cls: type) -> dict[str, str]:
    """The comment after each field of a dataclass; a field without one has that of the class it is inherited from."""
    comments: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        if dataclasses.is_dataclass(one):
            comments |= _own_comments(one)
    return comments


def write_defaults() -> None:
    """Write the file of every group."""
    for name, group in GROUPS.items():
        write_text(conf_dir() / f"{name}.yaml", render_group(group))


def _lines(config: Any, indent: str = "") -> Iterator[str]:
    comments = field_comments(type(config))
    names = [field.name for field in dataclasses.fields(config)]
    for name in sorted(names, key=lambda one: one != "name"):  # the name comes first
        value = getattr(config, name)
        if dataclasses.is_dataclass(value):
            yield f"{indent}{name}:"
            yield from _lines(value, f"{indent}  ")
        else:
            line = f"{indent}{name}: {_yaml(value)}"
            yield f"{line.ljust(COMMENT_COLUMN)} # {comments[name]}" if name in comments else line


def _own_comments(cls: type) -> dict[str, str]:
    source = textwrap.dedent(inspect.getsource(cls))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    by_line = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    fields = [one for one in tree.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
    return {
        one.target.id: by_line[one.end_lineno]
        for one in fields
        if isinstance(one.target, ast.Name) and one.end_lineno in by_line
    }


def _yaml(value: Any) -> str:
    """A scalar or a list of scalars; floats always with a point, without which YAML 1.1 reads 1e-8 as text."""
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and "e" in repr(value):
        mantissa, exponent = repr(value).split("e")
        return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{int(exponent)}"
    return '""' if value == "" else str(value)


if __name__ == "__main__":
    write_defaults()
