"""Optimizers and the learning rate as a pure function of progress, so that resuming needs no scheduler state."""

import math

import torch
from torch import nn

from asr.training.config import OptimizerConfig, ScheduleConfig


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The configured optimizer over ``model``; weight decay acts on tensors of two or more axes only.

    Adam's step is torch's fused one: one pass over all weights, where the other goes over each tensor a dozen times.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in parameters if one.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [one for one in parameters if one.dim() < 2], "weight_decay": 0.0},
    ]
    rate, betas = config.learning_rate, (config.betas[0], config.betas[1])
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=config.eps, fused=True)
    if config.name == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=betas, eps=config.eps, fused=True)
    if config.name == "adadelta":
        return torch.optim.Adadelta(groups, lr=rate, eps=config.eps)
    return torch.optim.SGD(groups, lr=rate, momentum=config.momentum)


def learning_rate_factor(epochs_done: float, epochs: int, config: ScheduleConfig, plateau_cuts: int = 0) -> float:
    """What the peak learning rate is multiplied by after ``epochs_done`` (a fraction counts) of ``epochs``.

    Warm-up is linear; then cosine, linear, constant, inverse square root (from the end of warm-up) or plateau cuts.
    """
    warmup = config.warmup_epochs
    if epochs_done < warmup:
        return epochs_done / warmup
    share = min(1.0, (epochs_done - warmup) / max(epochs - warmup, 1e-9))
    if config.name == "cosine":
        return config.final_factor + (1 - config.final_factor) * 0.5 * (1 + math.cos(math.pi * share))
    if config.name == "linear":
        return 1 - (1 - config.final_factor) * share
    if config.name == "inverse_sqrt":
        return math.sqrt(max(warmup, 1.0) / max(epochs_done, max(warmup, 1.0)))
    if config.name == "plateau":
        return max(config.final_factor, config.plateau_factor**plateau_cuts)
    return 1.0
