"""Start from another model: the tokens of the run, the weights that are taken over, and what is refused.

In: a model directory, read, and a run's settings and texts. Out: the tokens, a model with that directory's encoder, and
a line that says what was done. Subsampling and encoder are taken over whole; of the head the rows of the tokens that
both models have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from asr.errors import ConfigError, TextError
from asr.features import AnyFeaturesConfig
from asr.models import AcousticModel
from asr.pretrained import Pretrained
from asr.text.tokenizer import (
    BLANK,
    CharacterTokenizer,
    Tokenizer,
    TokenizerConfig,
    UnitTokenizer,
    WordTokenizer,
    build_tokenizer,
)
from asr.training.config import TrainSettings

OWN_FEATURES = ("normalization", "level_db", "edge_padding_s")  # which a run may have otherwise than its source
HEADS = ("head.", "phone_head.")
LISTED = 20  # tokens in the message


def choose_tokenizer(earlier: Tokenizer, config: TokenizerConfig, texts: Sequence[str]) -> Tokenizer:
    """The tokens of ``earlier`` where they spell all ``texts``; else those that ``config`` learns from ``texts``.

    Where ``config`` asks for units or graphemes, ``earlier`` must have those that the texts hold; where it does not,
    characters keep the units of ``earlier``. Characters and words:
    where ``earlier`` has at least half of the new ones, its others stay, too. A few new letters, or digits, do not cost
    a model the letters that little text lacks; another script begins with its own alone.
    Raises DataError and TextError where the tokens cannot be learned.
    """
    is_asked = bool(config.units or config.graphemes)
    if not is_asked and _spells(earlier, texts):
        return earlier
    if isinstance(earlier, UnitTokenizer) and config.name == "characters" and not is_asked:
        fresh: Tokenizer = UnitTokenizer.learn(texts, earlier.tokens[1:], graphemes=earlier.graphemes)
    else:
        fresh = build_tokenizer(config, texts)
    new, old = set(fresh.tokens[1:]), set(earlier.tokens[1:])
    if is_asked and type(fresh) is type(earlier) and new <= old and _spells(earlier, texts):
        return earlier
    if 2 * len(new & old) < len(new) or not _is_same_kind(fresh, earlier):
        return fresh
    if isinstance(fresh, UnitTokenizer):
        return UnitTokenizer(sorted(new | old), graphemes=fresh.graphemes)
    if isinstance(fresh, CharacterTokenizer | WordTokenizer) and type(fresh) is type(earlier):
        return type(fresh)(sorted(new | old))
    return fresh


def take_over(model: AcousticModel, tokenizer: Tokenizer, earlier: Pretrained, settings: TrainSettings) -> str:
    """Copy the weights of ``earlier`` into ``model``, whose tokens are ``tokenizer``'s; what was done, in one line.

    Raises ConfigError, before anything is copied, for other features, another encoder or other sizes.
    """
    where = f"training.init_from={settings.training.init_from}"
    _check_features(where, earlier.features.config, settings.features)
    _check_encoder(where, earlier.model, model)
    encoder = {name: value for name, value in earlier.model.state_dict().items() if not name.startswith(HEADS)}
    model.load_state_dict(encoder, strict=False)
    phones = ""
    if earlier.model.phone_head is not None:
        phones = "; its phones are left behind (training.loss.intermediate_lexicon on the last layer takes them over)"
        if model.phone_head is not None:
            rows = [{phone: row for row, phone in enumerate(one.phone_tokens)} for one in (earlier.model, model)]
            copied = _copy_rows(earlier.model.phone_head, rows[0], model.phone_head, rows[1])
            phones = f"; with {copied - 1} of its {len(rows[0]) - 1} phones"
    kept = _copy_rows(earlier.model.head, _rows(earlier.tokenizer), model.head, _rows(tokenizer, earlier.tokenizer))
    if tokenizer.tokens == earlier.tokenizer.tokens:
        return f"{where}: all weights and its {tokenizer.vocab_size} tokens are taken over{phones}"
    new = [token for token in tokenizer.tokens if token not in earlier.tokenizer.tokens]
    gone = [token for token in earlier.tokenizer.tokens if token not in tokenizer.tokens]
    return (
        f"{where}: its encoder is taken over and the head made anew, with {kept} of its {tokenizer.vocab_size} tokens"
        f" as there{_listed('new', new)}{_listed('no longer', gone)}{phones}"
    )


def _spells(tokenizer: Tokenizer, texts: Sequence[str]) -> bool:
    try:
        for text in texts:
            tokenizer.encode(text)
    except TextError:
        return False
    return True


def _is_same_kind(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether equal tokens of both sound alike: a letter is one beside units, too; a piece of sentencepiece is none."""
    return type(one) is type(other) or (isinstance(one, CharacterTokenizer) and isinstance(other, CharacterTokenizer))


def _rows(tokenizer: Tokenizer, like: Tokenizer | None = None) -> dict[str, int]:
    """The row of each token in a head; of a tokenizer of another kind than ``like`` the blank's alone."""
    tokens = tokenizer.tokens if like is None or _is_same_kind(tokenizer, like) else (BLANK,)
    return {token: row for row, token in enumerate(tokens)}


@torch.no_grad()
def _copy_rows(source: nn.Linear, source_rows: Mapping[str, int], head: nn.Linear, rows: Mapping[str, int]) -> int:
    """Copy the rows of the tokens that both have; their number."""
    both = [token for token in rows if token in source_rows]
    here, there = [rows[token] for token in both], [source_rows[token] for token in both]
    head.weight[here], head.bias[here] = source.weight[there], source.bias[there]
    return len(both)


def _check_features(where: str, theirs: AnyFeaturesConfig, ours: AnyFeaturesConfig) -> None:
    first, second = _frame_values(theirs), _frame_values(ours)
    if first["name"] != second["name"]:
        first, second = {"name": first["name"]}, {"name": second["name"]}
    differ = [key for key in first if first[key] != second[key]]
    if differ:
        raise ConfigError(
            f"{where}: an encoder needs the features that it was trained on,"
            f" {', '.join(f'features.{key}={first[key]}' for key in differ)}; this run has"
            f" {', '.join(f'{second[key]}' for key in differ)}. Give its values (recordings are resampled), or start"
            " from another model"
        )


def _frame_values(config: AnyFeaturesConfig) -> dict[str, Any]:
    values = {key: value for key, value in asdict(config).items() if key not in OWN_FEATURES}
    return values | {"f_max_hz": None if config.top_hz == config.sample_rate / 2 else config.f_max_hz}


def _check_encoder(where: str, earlier: AcousticModel, model: AcousticModel) -> None:
    if earlier.config.name != model.config.name:
        raise ConfigError(
            f"{where}: its encoder is a {earlier.config.name}, this run's a {model.config.name};"
            f" give model={earlier.config.name}, or start from another model"
        )
    found, wanted = _shapes(earlier.state_dict()), _shapes(model.state_dict())
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise ConfigError(
                f"{where}: its {name} is {found.get(name, 'absent')}, this model's is {wanted.get(name, 'absent')};"
                " give no sizes in 'model' (asr train and asr run take them from there), or the same"
            )


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items() if not name.startswith(HEADS)}


def _listed(title: str, tokens: Sequence[str]) -> str:
    if not tokens:
        return ""
    more = f" and {len(tokens) - LISTED} more" if len(tokens) > LISTED else ""
    return f"; {title}: {' '.join(map(repr, tokens[:LISTED]))}{more}"
