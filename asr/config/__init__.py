"""Recipes, their composition by Hydra, and the typed configuration. Importing this package imports none of them, so
that `asr train --cfg job` and a mistyped key do not wait for torch.
"""
