"""The losses beside CTC against torch's own functions, and who gets their gradients."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from asr.data.dataset import Batch
from asr.data.manifest import read_manifest
from asr.errors import ConfigError, DataError, TrainingError
from asr.features import LogMelConfig, SpecAugmentConfig, build_features, spec_augment
from asr.models import AcousticModel
from asr.pretrained import from_pretrained
from asr.seeds import derive_seed
from asr.training.checkpoint import MovingAverage, load_checkpoint
from asr.training.config import OptimizerConfig
from asr.training.distributed import Processes
from asr.training.intermediate import intermediate_targets, read_lexicon
from asr.training.objective import LossConfig, TrainedModel
from asr.training.records import StepRecord
from asr.training.setup import prepare_setup
from asr.training.start import train
from asr.training.step import Stepper, build_optimizer
from tests.models.family import N_MELS, make_model
from tests.tiny_run import Quiet, equal_weights, settings, weights

SAMPLES, TARGETS = [16000, 9000, 4000], [[1, 2], [3], [4]]
FORMS = ["gru", "bilstm, layers normalised", "conformer"]
NO_MASKS = SpecAugmentConfig(time_masks=0, frequency_masks=0)


def make_stepper(model: AcousticModel, loss: LossConfig, masks: SpecAugmentConfig = NO_MASKS) -> Stepper:
    trained = TrainedModel(model.eval(), loss)  # no dropout
    optimizer = build_optimizer(trained, OptimizerConfig(name="sgd", learning_rate=1e-9))
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    features, processes = build_features(LogMelConfig(n_mels=N_MELS)), Processes(0, 1, torch.device("cpu"))
    return Stepper(
        features=features, model=trained, optimizer=optimizer, scaler=scaler, processes=processes, spec_augment=masks,
        clip_norm=1e9, precision="fp32", seed=1, ids=["a", "b", "c"], loss=loss,
    )  # fmt: skip


def make_batch() -> Batch:
    waveforms = torch.randn(len(SAMPLES), max(SAMPLES), generator=torch.Generator().manual_seed(1))
    return Batch(waveforms, torch.tensor(SAMPLES), TARGETS, [0, 1, 2])


def run_step(stepper: Stepper) -> float:
    return stepper.step([make_batch()], 0, len(SAMPLES)).loss


def log_mel_of(stepper: Stepper) -> tuple[Tensor, Tensor]:
    log_mel, frames = stepper.features(make_batch().waveforms, torch.tensor(SAMPLES))
    return log_mel, frames


def ctc(model: AcousticModel, log_mel: Tensor, frames: Tensor) -> Tensor:
    """The mean of the utterances' losses, by torch."""
    log_probs, lengths = model(log_mel, frames)
    flat, sizes = torch.tensor([label for one in TARGETS for label in one]), torch.tensor([len(one) for one in TARGETS])
    losses: Tensor = functional.ctc_loss(log_probs.transpose(0, 1), flat, lengths, sizes, reduction="none")
    return losses.mean()


def alone(log_probs: Tensor, target: list[int]) -> float:
    """The loss of one utterance, by torch."""
    sizes = torch.tensor([len(log_probs)]), torch.tensor([len(target)])
    return functional.ctc_loss(log_probs.unsqueeze(1), torch.tensor([target]), *sizes, reduction="sum").item()


def first_layer_of(model: AcousticModel, form: str) -> AcousticModel:
    """The model as it would be if its encoder ended after a layer, with the same weights."""
    shallow = make_model(form, num_layers=1)
    shallow.load_state_dict({name: model.state_dict()[name] for name in shallow.state_dict()})
    return shallow


@pytest.mark.parametrize("form", FORMS)
def test_the_intermediate_loss_is_the_ctc_loss_of_the_model_cut_there(form: str) -> None:
    model = make_model(form)
    stepper = make_stepper(model, LossConfig(intermediate_weight=0.3))
    inputs = log_mel_of(stepper)
    last, middle = ctc(model, *inputs), ctc(first_layer_of(model, form), *inputs)
    assert abs(last - middle) > 0.01
    assert run_step(stepper) == pytest.approx((0.7 * last + 0.3 * middle).item(), rel=1e-5)


def test_an_own_head_takes_the_intermediate_gradient_off_the_models_head() -> None:
    model = make_model("gru")
    plain = make_stepper(model, LossConfig())
    inputs = log_mel_of(plain)
    (last,) = torch.autograd.grad(ctc(model, *inputs), model.head.weight)
    cut = first_layer_of(model, "gru")
    (middle,) = torch.autograd.grad(ctc(cut, *inputs), cut.head.weight)
    for head in ("shared", "own"):
        stepper = make_stepper(model, LossConfig(intermediate_weight=0.3, intermediate_head=head))
        run_step(stepper)
        trained = stepper._trained_model
        expected = 0.7 * last + (0.3 * middle if head == "shared" else 0)
        torch.testing.assert_close(model.head.weight.grad, expected, rtol=1e-3, atol=1e-5)
        if trained.own_head is not None:
            torch.testing.assert_close(trained.own_head.weight.grad, 0.3 * middle, rtol=1e-3, atol=1e-5)
    assert not any("own" in name for name in model.state_dict())  # a model directory is as without


@pytest.mark.parametrize("form", FORMS)
def test_two_views_give_the_mean_of_their_losses_and_the_divergence_between_them(form: str) -> None:
    model, masks = make_model(form), SpecAugmentConfig(time_masks=2, time_mask_max_frames=20, frequency_mask_max_mels=5)
    stepper = make_stepper(model, LossConfig(consistency_weight=0.2), masks)
    log_mel, frames = log_mel_of(stepper)
    generator = torch.Generator().manual_seed(derive_seed(1, "step", 0, 0, 0))
    more = SpecAugmentConfig(time_masks=5, time_mask_max_frames=20, frequency_mask_max_mels=5)
    first, second = (spec_augment(log_mel, frames, more, generator) for _ in range(2))
    assert not torch.equal(first, second)
    (one, lengths), (other, _) = model(first, frames), model(second, frames)
    distance = 0.0
    for row, length in enumerate(lengths.tolist()):
        p, q = one[row, :length], other[row, :length]
        distance += 0.5 * (p.exp() * (p - q)).sum().item() + 0.5 * (q.exp() * (q - p)).sum().item()
    expected = (ctc(model, first, frames) + ctc(model, second, frames)).item() / 2 + 0.2 * distance / len(SAMPLES)
    assert run_step(stepper) == pytest.approx(expected, rel=1e-5)
    assert distance > 1e-3


def test_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.loss\.intermediate_layer=2 must be 1 to 1: the encoder has 2"):
        TrainedModel(make_model("gru"), LossConfig(intermediate_weight=0.3, intermediate_layer=2))
    with pytest.raises(
        ConfigError, match=r"intermediate_weight=0\.3 needs a layer below the last, and the encoder has 1 "
    ):
        TrainedModel(make_model("gru", num_layers=1), LossConfig(intermediate_weight=0.3))
    with pytest.raises(ConfigError, match=r"intermediate_layer=0 must be at least 1, or null"):
        LossConfig(intermediate_weight=0.3, intermediate_layer=0)
    with pytest.raises(ConfigError, match=r"intermediate_weight=1\.0 must be in \[0, 1\)"):
        LossConfig(intermediate_weight=1.0)


def test_two_views_count_twice_in_batches_and_in_seconds_of_audio(tones: Path, tmp_path: Path) -> None:
    plain, double = Quiet(), Quiet()
    train(settings(tones, training__epochs=1), tmp_path / "plain", plain)
    train(settings(tones, training__epochs=1, training__loss__consistency_weight=0.2), tmp_path / "double", double)
    assert double.steps[0].batches > plain.steps[0].batches
    assert double.epochs[0].audio_s == pytest.approx(2 * plain.epochs[0].audio_s)
    plan = settings(tones).data.batching.of_views(2)
    assert (plan.batch_s, plan.max_utterances) == (0.8, 2)


def test_a_moving_average_is_its_recursion_with_a_short_memory_at_first() -> None:
    """By hand: d = 1/10, 2/11, then 1/5, where 3/12 would be more than ``decay``."""
    model = torch.nn.Linear(1, 1, bias=False)
    values = [1.0, 2.0, 4.0, 8.0]
    with torch.no_grad():
        model.weight.fill_(values[0])
        average = MovingAverage(model, decay=0.2)
        for steps, value in enumerate(values[1:]):
            model.weight.fill_(value)
            average.update(steps)
    after_one = 0.1 * 1 + 0.9 * 2
    after_two = 2 / 11 * after_one + 9 / 11 * 4
    assert average.weights["weight"].item() == pytest.approx(0.2 * after_two + 0.8 * 8)


def test_the_moving_average_of_every_steps_weights_becomes_the_model(tones: Path, tmp_path: Path) -> None:
    seen: list[dict[str, Tensor]] = []

    def watch(record: StepRecord) -> None:  # the checkpoint is that of the step before
        if record.step > 1:
            seen.append(weights(tmp_path))

    changes: dict[str, Any] = {"training__save_every_steps": 1, "training__ema_decay": 0.5, "training__select": "ema"}
    chosen, quiet = settings(tones, training__epochs=2, **changes), Quiet(watch)
    train(chosen, tmp_path, quiet)
    average = prepare_setup(chosen).model.state_dict()
    for steps, now in enumerate([*seen, weights(tmp_path)]):
        decay = min(0.5, (1 + steps) / (10 + steps))
        average = {name: decay * value + (1 - decay) * now[name] for name, value in average.items()}
    best = load_checkpoint(tmp_path / "checkpoints" / "best.ckpt")["model"]
    for name, value in best.items():
        torch.testing.assert_close(value, average[name])
    (said,) = [message for message in quiet.messages if message.startswith("moving average of the weights: dev WER")]
    assert "kept" in said
    assert not equal_weights(best, weights(tmp_path))
    with pytest.raises(ConfigError, match=r"training\.select=ema needs training\.ema_decay"):
        settings(tones, training__select="ema")


LEXICON = """;;; a comment
AB  AE1 B
AB(2)  AH0 B
A  AH0  # the letter
B  B IY1
CA  K AE1
"""


@pytest.mark.parametrize("layer", [1, 2])
def test_phones_are_the_targets_of_the_utterances_that_have_them(tmp_path: Path, layer: int) -> None:
    """By hand: AE is 1, AH 2, B 3, K 5; "ca" has two, "ab a" three, and no word of the third is in the file."""
    (tmp_path / "lexicon").write_text(LEXICON)
    config = LossConfig(
        intermediate_weight=0.3, intermediate_layer=layer, intermediate_lexicon=str(tmp_path / "lexicon")
    )
    targets = intermediate_targets(config, ["ca b", "ab a", "zoo"], read_lexicon(config))
    assert targets is not None and targets.tokens == ("<blank>", "AE", "AH", "B", "IY", "K")
    assert targets.targets == [[5, 1, 3, 4], [1, 3, 2], []]
    whole = json.dumps([targets.tokens, targets.targets])
    assert targets.fingerprint == hashlib.sha256(whole.encode()).hexdigest(), "as in checkpoints of earlier versions"
    assert targets.note.endswith("in 2 of 3 utterances; it lacks zoo")
    model = make_model("gru")
    stepper = make_stepper(model, LossConfig())
    stepper.loss, stepper.intermediate_targets = config, targets.targets
    stepper.model = trained = TrainedModel(model, config, len(targets.tokens))
    log_mel, frames = log_mel_of(stepper)
    with torch.no_grad():
        (_, phones), lengths = trained(log_mel, frames)
        log_probs, _ = model(log_mel, frames)
        spelled = [alone(phones[row, : lengths[row]], targets.targets[row]) for row in (0, 1)]
        plain = [alone(log_probs[row, : lengths[row]], TARGETS[row]) for row in (0, 1, 2)]
    expected = sum(0.7 * plain[row] + 0.3 * spelled[row] for row in (0, 1)) + plain[2]
    assert run_step(stepper) == pytest.approx(expected / 3, rel=1e-5)
    stepper.intermediate_targets = [*targets.targets[:2], [5] * 500]  # more phones than frames count as none
    assert run_step(stepper) == pytest.approx(expected / 3, rel=1e-5)


def test_a_lexicon_that_is_none_or_spells_nothing_is_refused(tmp_path: Path) -> None:
    def read(text: str) -> None:
        (tmp_path / "lexicon").write_text(text)
        config = LossConfig(intermediate_weight=0.3, intermediate_lexicon=str(tmp_path / "lexicon"))
        intermediate_targets(config, ["a"], read_lexicon(config))

    with pytest.raises(ConfigError, match="no line is a word with its phones"):
        read("a\nb\n")
    with pytest.raises(DataError, match="it spells no training utterance; it lacks a"):
        read("b  B IY1\n")
    with pytest.raises(ConfigError, match="set one of them to null"):
        LossConfig(intermediate_pieces=10, intermediate_lexicon="file")


def test_a_changed_lexicon_is_no_way_to_resume(tones: Path, tmp_path: Path) -> None:
    lexicon = tmp_path / "lexicon"
    texts = {one.text for one in read_manifest(tones / "train.jsonl")}
    loss = {"intermediate_weight": 0.3, "intermediate_lexicon": str(lexicon)}
    chosen = settings(tones, training__loss=loss, training__max_steps=3)
    lexicon.write_text("".join(f"{text} {' '.join(text)}\n" for text in texts))
    quiet = Quiet()
    train(chosen, tmp_path / "run", quiet)
    assert "intermediate loss: over 3 phones" in quiet.messages[1]
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert state["intermediate_head"]["weight"].shape == (4, 16)
    lexicon.write_text(lexicon.read_text().replace(" a", " b"))
    (tmp_path / "run" / "model" / "config.json").unlink()
    with pytest.raises(TrainingError, match="the targets of the intermediate loss are others than when this run began"):
        train(chosen, tmp_path / "run", Quiet())


def test_phones_on_the_last_layer_stay_with_the_model_and_go_on_to_the_next(tones: Path, tmp_path: Path) -> None:
    lexicon = tmp_path / "lexicon"
    texts = {one.text for one in read_manifest(tones / "train.jsonl")}
    lexicon.write_text("".join(f"{text} {' '.join(text)}\n" for text in texts))
    loss = {"intermediate_weight": 0.3, "intermediate_lexicon": str(lexicon), "intermediate_layer": 1}
    chosen = settings(tones, training__loss=loss, training__max_steps=3, model__num_layers=1)
    train(chosen, tmp_path / "run", Quiet())
    found = from_pretrained(tmp_path / "run" / "model")
    letters = tuple(sorted(set("".join(texts))))
    assert found.phones == ("<blank>", *letters)
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert found.model.phone_head is not None
    assert torch.equal(found.model.phone_head.weight, state["intermediate_head"]["weight"])
    assert not torch.equal(found.model.phone_head.weight, prepare_setup(chosen).model.phone_head.weight)  # type: ignore[union-attr]
    lexicon.write_text(lexicon.read_text() + "another Q\n")  # one more phone: the others go on
    first = str(tmp_path / "run" / "model")
    again = settings(tones, training__loss=loss, training__init_from=first, model__num_layers=1)
    taken = prepare_setup(again).model
    assert taken.phone_tokens == ("<blank>", "Q", *letters) and taken.phone_head is not None
    rows = [0, *range(2, len(letters) + 2)]
    assert torch.equal(taken.phone_head.weight[rows], found.model.phone_head.weight)
    plain = settings(tones, training__init_from=first, model__num_layers=1)
    assert prepare_setup(plain).model.phone_head is None
