"""The settings of a training run as typed values: the keys that ``conf/`` and the recipes set."""

from dataclasses import dataclass, field
from functools import reduce

from asr.data.batching import BatchingConfig
from asr.devices import PRECISIONS
from asr.features import AnyFeaturesConfig, AugmentConfig, LogMelConfig
from asr.models import BiLstmConfig, ModelConfig, StackConfig
from asr.schema import check, check_choice
from asr.text.normalize import get_normalizer
from asr.text.tokenizer import TokenizerConfig
from asr.training.objective import ChunkingConfig, LossConfig

OPTIMIZERS = ("adamw", "adam", "sgd", "adadelta")
SCHEDULES = ("cosine", "linear", "constant", "inverse_sqrt", "plateau")
MOST_WORKERS = 256  # processes; a mistyped number must not fill the machine with them
SELECTIONS = ("dev", "average", "ema")
SELECT_BY = ("wer", "cer", "loss")
_OF_INTERMEDIATE = ("layer", "head", "pieces", "lexicon")


AUTO = "auto"  # of training.init_from


@dataclass(kw_only=True, slots=True)
class DataConfig:
    """Manifests and how they are read. ``dir`` holds train.jsonl, dev.jsonl and test.jsonl.

    ``normalizer`` is applied to transcripts before they are spelled in tokens: "letters" keeps every letter as it is
    spelled, by the rules of ``language`` ("de", "tr", "ja"; "": any); "basic" is for comparing, and rewrites letters (ß
    as ss). ``unspellable``: "error" stops before
    step 1 and lists utterances too short for their text; "drop" leaves them out and reports them. ``workers``:
    processes that read ahead (0: none). ``cache_mb``: megabytes of decoded recordings kept in the file
    decoded-audio.cache in ``cache_dir`` ("": in ``dir``), for all processes, epochs and runs with that data.
    """

    dir: str = ""  # holds train.jsonl, dev.jsonl, test.jsonl
    normalizer: str = "letters"  # what becomes of transcripts before tokenisation: letters | basic | english | none
    language: str = ""  # two-letter code for normalizer=letters, e.g. de, tr, ja; "": any
    unspellable: str = "error"  # utterances too short for their text: error (stop) | drop (leave out)
    workers: int = 1  # data-loading processes; 0: none
    cache_dir: str = ""  # folder of decoded-audio.cache; "": data.dir
    cache_mb: float = 4096.0  # MB of decoded recordings cached there (18 to 36 hours); 0: none
    batching: BatchingConfig = field(default_factory=BatchingConfig)

    def __post_init__(self) -> None:
        get_normalizer(self.full_normalizer)
        check_choice("data.unspellable", self.unspellable, ("error", "drop"))
        check(0 <= self.workers <= MOST_WORKERS, f"data.workers={self.workers} must be 0 to {MOST_WORKERS}")
        check(self.cache_mb >= 0, f"data.cache_mb={self.cache_mb} must not be negative")

    @property
    def full_normalizer(self) -> str:
        """The normaliser's name with its language, such as ``letters-de``."""
        return f"{self.normalizer}-{self.language}" if self.language else self.normalizer


@dataclass(kw_only=True, slots=True)
class OptimizerConfig:
    """``weight_decay`` acts on matrices only, never on biases or norms.

    ``clip_norm``: bound on the gradient's L2 norm.
    """

    name: str = "adamw"
    learning_rate: float = 1e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    eps: float = 1e-8
    momentum: float = 0.9  # sgd only
    weight_decay: float = 1e-2  # on weight matrices only, not biases or norms
    clip_norm: float = 5.0  # largest L2 norm of the gradient

    def __post_init__(self) -> None:
        check_choice("optimizer.name", self.name, OPTIMIZERS)
        check(self.learning_rate > 0, f"optimizer.learning_rate={self.learning_rate} must be above 0")
        check(self.weight_decay >= 0, f"optimizer.weight_decay={self.weight_decay} must not be negative")
        check(self.clip_norm > 0, f"optimizer.clip_norm={self.clip_norm} must be above 0")
        check(
            len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "optimizer.betas must be two numbers in [0, 1)",
        )


@dataclass(kw_only=True, slots=True)
class ScheduleConfig:
    """The learning rate over the run: ``warmup_epochs`` from 0 up, then ``name`` down to ``final_factor`` of the peak.

    "plateau" (newbob) multiplies by ``plateau_factor`` each time dev has not improved for ``plateau_patience``
    epochs.
    """

    name: str = "cosine"
    warmup_epochs: float = 1.0  # the learning rate rises linearly from 0
    final_factor: float = 0.01  # learning rate at the end, as a share of the peak
    plateau_factor: float = 0.5  # plateau only: multiplies the learning rate
    plateau_patience: int = 1  # plateau only: epochs without a better dev figure

    def __post_init__(self) -> None:
        check_choice("schedule.name", self.name, SCHEDULES)
        check(self.warmup_epochs >= 0, f"schedule.warmup_epochs={self.warmup_epochs} must not be negative")
        check(0 <= self.final_factor <= 1, f"schedule.final_factor={self.final_factor} must be in [0, 1]")
        check(0 < self.plateau_factor < 1, f"schedule.plateau_factor={self.plateau_factor} must be in (0, 1)")
        check(self.plateau_patience >= 1, f"schedule.plateau_patience={self.plateau_patience} must be at least 1")


@dataclass(kw_only=True, slots=True)
class TrainingConfig:
    """``accumulate``: batches per step. ``patience``: epochs without a better dev figure before stopping early (None:
    never).

    ``save_every_steps``: a checkpoint between epochs too (None: at epoch ends only). ``keep_last``: weights of so many
    last epochs are kept and averaged at the end (0: no averaging). ``ema_decay``: of an exponential moving average of
    the weights, which is tried at the end, too (0: none; see ``MovingAverage``). ``select``: which weights become the
    model: "dev", the best on dev of all epochs and the averages; "average" or "ema", that average whatever its dev
    figures (where dev is small or part of the training data, the best epoch is chance). ``select_by``: the dev figure
    by which the best epoch is chosen, early stopping counts and the plateau schedule cuts: "wer" (of at most 100%, then
    CER), "cer" or "loss". ``threads``: torch threads per process; with one, the two directions of a layer run on two
    cores (None: torch's choice). ``processes``: so many on this machine share each step, as under torchrun: it then
    holds as many times ``data.batching.batch_s`` (one process a GPU; on the CPU, one for every two cores).
    ``max_steps``: stop after so many steps, for trials. ``least_steps``: more epochs than ``epochs`` where these would
    be fewer steps (None: not). ``evaluate_from_epoch``: no dev pass before this epoch. ``flat_start_epochs``: over so
    many first epochs the loss is that of a model whose blank is less likely, by ``flat_start_nats`` in its logit at
    first, decreasing linearly to 0 (0: none; see asr/ctc). ``loss``: what is minimised besides CTC; see ``LossConfig``.
    ``chunking``: batches computed as live sound is; see ``ChunkingConfig``.

    ``init_from``: a model directory, or "english", whose weights, sizes and tokens to start from (fine-tuning);
    dropout, normalisation and everything else are this run's own. Where its tokens cannot spell the training text, the
    head is made anew (asr/training/transfer.py). `asr train` and `asr run` take "auto", too: the model that comes with
    the package, unless the command line asks for another architecture or other features (asr/pipeline/start_from.py).
    Only with it: ``freeze_epochs``, over which subsampling and encoder stay as they were and the heads alone learn,
    without a backward pass through the rest; ``encoder_rate_factor``, the learning rate of subsampling and encoder as a
    share of the heads'.
    """

    epochs: int = 30
    accumulate: int = 1  # batches per step
    patience: int | None = None  # epochs without a better dev figure before stopping; null: never
    save_every_steps: int | None = 500  # also save a checkpoint every so many steps; null: only after each epoch
    keep_last: int = 5  # number of last epochs whose weights are averaged at the end; 0: none
    ema_decay: float = 0.0  # exponential moving average of the weights over 1 / (1 - decay) steps, e.g. 0.999; 0: none
    select: str = "dev"  # the model: dev (best epoch or average, by dev WER) | average | ema (always)
    select_by: str = "wer"  # dev figure that chooses the best epoch: wer (at most 100%; CER decides ties) | cer | loss
    precision: str = "fp32"  # fp32 | bf16 (faster on a CPU with AMX, from 10 rows a batch on) | fp16 (GPU)
    tf32: bool = False  # on a GPU: faster fp32 products with 10-bit factors; bf16 and fp16 imply it
    device: str = "auto"  # auto | cpu | cuda | cuda:1
    threads: int | None = 1  # torch threads per process; several are slow on a busy machine; null: torch's choice
    processes: int = 1  # on this machine; a step holds so many times data.batching.batch_s
    max_steps: int | None = None  # stop after this many steps
    least_steps: int | None = None  # more epochs where these would be fewer steps, as with little data; null: not
    normalisation_hours: float = 1.0  # training audio for the global mean and variance of the features
    evaluate_from_epoch: int = 1  # first epoch after which dev is evaluated
    flat_start_epochs: float = 0.0  # the blank is made less likely in these first epochs; see asr/ctc/loss.py
    flat_start_nats: float = 8.0  # how much the blank's logit is lowered at first, decreasing to 0
    dry_run: bool = True  # run the largest batch once before step 1, to find out-of-memory errors early
    tensorboard: bool = True
    init_from: str | None = None  # model directory or english to start from; auto: english if sizes fit; null: nothing
    freeze_epochs: float = 0.0  # with init_from: only the head learns in these first epochs
    encoder_rate_factor: float = 1.0  # with init_from: learning rate of the encoder, as a share of the head's
    loss: LossConfig = field(default_factory=LossConfig)
    chunking: ChunkingConfig = field(default_factory=ChunkingConfig)

    def __post_init__(self) -> None:
        check(self.epochs >= 1, f"training.epochs={self.epochs} must be at least 1")
        check(self.accumulate >= 1, f"training.accumulate={self.accumulate} must be at least 1")
        most = MOST_WORKERS
        check(1 <= self.processes <= most, f"training.processes={self.processes} must be 1 to {most}")
        check(self.keep_last >= 0, f"training.keep_last={self.keep_last} must not be negative")
        check_choice("training.precision", self.precision, PRECISIONS)
        check_choice("training.select", self.select, SELECTIONS)
        check_choice("training.select_by", self.select_by, SELECT_BY)
        averages = self.select != "average" or min(self.keep_last, self.epochs) >= 2
        check(averages, f"training.select=average needs 2 epochs to average; training.keep_last={self.keep_last}")
        for key in ("patience", "save_every_steps", "threads", "max_steps", "least_steps"):
            value = getattr(self, key)
            check(value is None or value >= 1, f"training.{key}={value} must be at least 1, or null")
        check(0 <= self.ema_decay < 1, f"training.ema_decay={self.ema_decay} must be in [0, 1)")
        check(self.select != "ema" or self.ema_decay > 0, "training.select=ema needs training.ema_decay, e.g. 0.999")
        rate = self.encoder_rate_factor
        check(rate > 0, f"training.encoder_rate_factor={rate} must be above 0; to freeze: training.freeze_epochs")
        for key in ("flat_start_epochs", "flat_start_nats", "freeze_epochs"):
            check(getattr(self, key) >= 0, f"training.{key}={getattr(self, key)} must not be negative")
        check(self.normalisation_hours > 0, "training.normalisation_hours must be above 0")

    def is_frozen(self, epochs_done: float) -> bool:
        """Whether the encoder keeps its weights after ``epochs_done``, which may be a fraction."""
        return self.init_from is not None and epochs_done < self.freeze_epochs

    def is_over(self, epochs: int, steps: int, stale_epochs: int) -> bool:
        """Whether a run ends after so many epochs and steps, ``stale_epochs`` of them without a better dev figure."""
        stopped_early = self.patience is not None and stale_epochs >= self.patience
        out_of_steps = self.max_steps is not None and steps >= self.max_steps
        return epochs >= self.epochs or stopped_early or out_of_steps

    def blank_penalty(self, epochs_done: float) -> float:
        """Nats by which the blank's logit is lowered after ``epochs_done``, which may be a fraction."""
        if epochs_done >= self.flat_start_epochs:
            return 0.0
        return self.flat_start_nats * (1 - epochs_done / self.flat_start_epochs)


@dataclass(kw_only=True, slots=True)
class TrainSettings:
    """All settings of one training run."""

    seed: int = 1
    data: DataConfig = field(default_factory=DataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    features: AnyFeaturesConfig = field(default_factory=LogMelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=BiLstmConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        share, model = self.training.chunking.probability, self.model
        directions = model.directions if isinstance(model, StackConfig) else 0
        why = "gives the same in chunks without it" if directions else "looks at whole recordings"
        check(
            not share or directions == 2,
            f"training.chunking.probability={share} is for recurrent models of both directions, such as bilstm;"
            f" model={model.name} {why}; set it to 0",
        )


def unused_settings(settings: TrainSettings) -> list[str]:
    """A sentence for each setting that was changed from its default and has no effect beside the others."""
    training, loss = settings.training, settings.training.loss
    rules = (
        (not training.init_from, "training", ("freeze_epochs", "encoder_rate_factor"),
         "the training starts from nothing (training.init_from), so there is no trained encoder"),
        (not loss.intermediate_weight, "training.loss", tuple(f"intermediate_{key}" for key in _OF_INTERMEDIATE),
         "there is no intermediate loss (intermediate_weight=0)"),
        (not loss.consistency_weight, "training.loss", ("consistency_mask_factor",),
         "there is one view of each utterance (consistency_weight=0)"),
        (not training.chunking.probability, "training.chunking", ("chunk_s", "look_ahead_s"),
         "no batch is computed in chunks (probability=0)"),
        (not training.flat_start_epochs, "training", ("flat_start_nats",), "flat_start_epochs=0"),
        (training.select == "average", "training", ("ema_decay",), "training.select=average"),
        (settings.schedule.name != "plateau", "schedule", ("plateau_factor", "plateau_patience"),
         "schedule.name is not plateau"),
        (settings.optimizer.name != "sgd", "optimizer", ("momentum",), "optimizer.name is not sgd"),
    )  # fmt: skip
    default, found = TrainSettings(), []
    for unused, group, keys, reason in rules:
        ours, theirs = (reduce(getattr, group.split("."), one) for one in (settings, default))
        for key in keys if unused else ():
            if getattr(ours, key) != getattr(theirs, key):
                found.append(f"{group}.{key}={getattr(ours, key)} has no effect: {reason}")
    if loss.consistency_weight and not settings.augment.spec_augment.masks_anything:
        found.append(
            f"training.loss.consistency_weight={loss.consistency_weight}: augment.spec_augment masks nothing, so the"
            " two views of an utterance differ by dropout at most"
        )
    return found
