"""The default decoding of a model directory: ``decoding.json``, and its language model in ``lm.bin``.

In: settings found on dev (``asr lm tune``), and their language model. Out: the same settings whenever the model is
loaded. Both files are bound to the weights and to each other by SHA-256, so that they are never used with another
model. A model directory is complete: copied to another machine it decodes there as it did on dev.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from asr.decoding.config import DecodingConfig
from asr.errors import ConfigError, ModelError
from asr.files import atomic_path, sha256_file
from asr.lm.files import write_binary
from asr.lm.model import NgramModel
from asr.recognition.calibration import FILE as CALIBRATION
from asr.schema import build
from asr.shipped import check_not_shipped
from asr.stored import read_extra, write_extra
from asr.text.pronunciations import Pronunciations, write_pronunciations

FILE = "decoding.json"
LANGUAGE_MODEL, PRONUNCIATIONS = "lm.bin", "pronunciations.txt.gz"
PATHS = ("language_model", "lexicon", "pronunciations")  # keys of the settings
OF_THE_LANGUAGE_MODEL = ("language_model", "lm_weight", "word_score", "unk_score", "pronunciations")


def store_decoding(
    directory: Path,
    settings: DecodingConfig,
    language_model: NgramModel,
    facts: Mapping[str, Any],
    pronunciations: Pronunciations | None = None,
) -> None:
    """Make ``settings`` the default of a model directory, with a copy of their language model and, where they go by
    phones, the ``pronunciations`` of the words that it knows. ``facts``: how they were found.

    Settings that name other files (a lexicon) are refused with ConfigError: they would not travel. A calibration of
    confidence, which was fitted to the decoder before, is deleted.
    """
    if settings.lexicon is not None:
        raise ConfigError("decoding.lexicon: a model directory stores no lexicon; give it when you transcribe")
    check_not_shipped(directory)
    words = set(language_model.words)
    known = {word: several for word, several in (pronunciations or {}).items() if word in words}
    if pronunciations is not None and not known:
        raise ConfigError(
            "decoding.pronunciations: it has no word of the language model, whose words must be in lower case, as the"
            " dictionary's are read"
        )
    with atomic_path(directory / LANGUAGE_MODEL) as temporary, temporary.open("wb") as stream:
        write_binary(stream, language_model)
    files = [LANGUAGE_MODEL]
    (directory / PRONUNCIATIONS).unlink(missing_ok=True)  # of an earlier tuning
    if known:
        write_pronunciations(directory / PRONUNCIATIONS, known)
        files.append(PRONUNCIATIONS)
    values = {key: value for key, value in asdict(settings).items() if key not in PATHS}
    found = {"settings": values, "sha256": {name: sha256_file(directory / name) for name in files}}
    write_extra(directory, FILE, {**found, "facts": dict(facts)})
    (directory / CALIBRATION).unlink(missing_ok=True)


def read_decoding(directory: Path) -> DecodingConfig | None:
    """The model directory's own settings, or None where it has none.

    Raises ModelError when they are damaged, were made for other weights, or their language model is not what it was.
    """
    values = read_extra(directory, FILE)
    if values is None:
        return None
    again = "tune again (asr lm tune), or delete it"
    try:
        settings = build(DecodingConfig, values["settings"], "decoding")
        expected = {LANGUAGE_MODEL: values["sha256"][LANGUAGE_MODEL], **values["sha256"]}
    except (KeyError, TypeError, ConfigError) as error:
        raise ModelError(f"{directory / FILE}: cannot be understood ({error}); {again}") from None
    if settings.name == "greedy":
        raise ModelError(f"{directory / FILE}: is for greedy decoding, which uses no language model; {again}")
    if any(getattr(settings, key) is not None for key in PATHS):
        raise ModelError(
            f"{directory / FILE}: names a lexicon or language model file, which a model directory may not do; {again}"
        )
    for name in [one for one in (LANGUAGE_MODEL, PRONUNCIATIONS) if one in expected]:
        path = directory / name
        if not path.is_file() or sha256_file(path) != expected[name]:
            raise ModelError(f"{path}: absent, or not the one that {FILE} was made with; {again}")
    pronunciations = str(directory / PRONUNCIATIONS) if PRONUNCIATIONS in expected else None
    return replace(settings, language_model=str(directory / LANGUAGE_MODEL), pronunciations=pronunciations)


def choose_decoding(directory: Path, given: Mapping[str, Any]) -> DecodingConfig:
    """The settings to decode with: the model directory's own, save for what is ``given`` (keys of ``DecodingConfig``).

    Greedy where the directory has none and nothing is given. Another language model than the directory's comes with no
    weights of the old one. Raises ConfigError for what does not go together, ModelError as ``read_decoding``.
    """
    if given.get("name") == "greedy":
        return build(DecodingConfig, given, "decoding")
    stored = read_decoding(directory)
    own = {} if stored is None else asdict(stored)
    if "language_model" in given:
        own = {key: value for key, value in own.items() if key not in OF_THE_LANGUAGE_MODEL}
    beam = {"name": "beam"} if given else {}
    return build(DecodingConfig, {**own, **beam, **given}, "decoding")
