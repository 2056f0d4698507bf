"""A foreign recogniser to be measured against: pocketsphinx with the English model of its wheel, over a manifest.

In: a manifest. Out: a JSON Lines file of ids and texts for `asr score MANIFEST OUT`, and its real-time factor. Needs
``pip install pocketsphinx==5.1.1``; its model (US English, GMM-HMM, 16 kHz, trigram of general text) is used as it is.

    OMP_NUM_THREADS=1 python benchmarks/pocketsphinx_baseline.py data/an4/test.jsonl --out pocketsphinx.jsonl
    asr score data/an4/test.jsonl pocketsphinx.jsonl --out runs/pocketsphinx/an4
"""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio  # noqa: E402
from asr.data.manifest import read_manifest  # noqa: E402
from asr.files import write_text  # noqa: E402
from asr.terminal import Progress  # noqa: E402

RATE = 16_000
PAUSES = ("<s>", "</s>", "<sil>", "[SPEECH]", "[NOISE]")


def main() -> int:
    """Recognise and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the JSON Lines file to write")
    options = parser.parse_args()
    try:
        decoder_class: Any = importlib.import_module("pocketsphinx").Decoder
    except ImportError:
        raise SystemExit("pocketsphinx is not installed: pip install pocketsphinx==5.1.1") from None
    utterances = read_manifest(options.manifest)
    decoder = decoder_class(samprate=RATE, loglevel="FATAL")
    lines, spent_s = [], 0.0
    with Progress(len(utterances), "pocketsphinx", "utterances") as progress:
        for utterance in utterances:
            waveform = load_audio(
                utterance.audio,
                sample_rate=RATE,
                start_s=utterance.start_s,
                duration_s=utterance.duration_s,
                channel=utterance.channel,
            )
            started_s = time.process_time()
            decoder.start_utt()
            decoder.process_raw((np.clip(waveform, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
            decoder.end_utt()
            spent_s += time.process_time() - started_s
            found = decoder.hyp()
            words = [word for word in (found.hypstr if found else "").split() if word not in PAUSES]
            lines.append({"id": utterance.id, "text": " ".join(words), "speaker": utterance.speaker})
            progress.update()
    write_text(options.out, "".join(json.dumps(line) + "\n" for line in lines))
    audio_s = sum(utterance.duration_s for utterance in utterances)
    print(f"{len(lines)} utterances, real-time factor {spent_s / audio_s:.3f} (processor time of one core)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
