"""Normalisers and tokenizers."""
