"""Utterances, manifests, readers of corpora, quality checks, and the batches that training reads."""
