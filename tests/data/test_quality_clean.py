"""A cleaned manifest leaves out what was chosen, each utterance under one reason, and nothing else."""

import re

import pytest

from asr.data.manifest import Utterance
from asr.data.quality.clean import clean
from asr.data.quality.findings import KINDS, Finding, choose_kinds, slug, utterance_finding
from asr.errors import UsageError

UTTERANCES = [Utterance(id=f"u{n}", audio="/a.wav", duration_s=1.0, text="a") for n in range(4)]


def test_only_chosen_kinds_take_utterances_out_and_each_once() -> None:
    findings = [
        utterance_finding("warning", "silent", "u1", ""),
        utterance_finding("warning", "empty text", "u1", ""),
        utterance_finding("warning", "clipped", "u2", ""),
        Finding(severity="note", kind="texts repeat", where="", message=""),
    ]

    cleaned = clean(UTTERANCES, findings, ["silent", "empty text"])

    assert [one.id for one in cleaned.kept] == ["u0", "u2", "u3"]
    assert cleaned.removed == {"silent": ["u1"]}


def test_kinds_are_chosen_by_name_by_default_and_all_and_taken_back() -> None:
    assert choose_kinds(["silent", "clipped"]) == ["silent", "clipped"]
    assert "clipped" not in choose_kinds(["default"]) and "clipped" in choose_kinds(["all"])
    assert choose_kinds(["silent", "clipped", "no-silent"]) == ["clipped"]
    with pytest.raises(UsageError, match=r"'silly' is unknown; choose from: default, all, unreadable-audio"):
        choose_kinds(["silly"])


def test_every_kind_has_a_slug_of_its_own_that_can_be_typed() -> None:
    slugs = [slug(kind) for kind in KINDS]

    assert len(set(slugs)) == len(slugs)
    assert all(re.fullmatch(r"[a-z-]+", one) for one in slugs)
