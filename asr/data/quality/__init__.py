"""Checks of manifests, their recordings and their transcripts.

In: paths of manifests. Out: `CheckResult`: what was read, and findings about each manifest and across them. An error
will stop or spoil a training (unreadable audio, a span outside its file, the same sound in two splits), a warning is
for you to judge, a note is information. `check_manifests` is the entry; the other modules hold one group of checks
each.
"""

from asr.data.quality.check import CheckedManifest, CheckObserver, CheckOptions, CheckResult, check_manifests
from asr.data.quality.findings import Finding

__all__ = ["CheckObserver", "CheckOptions", "CheckResult", "CheckedManifest", "Finding", "check_manifests"]
