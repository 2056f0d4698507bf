"""What the microscope's page calls things, and what it says of them.

In: which arrays and attention there are. Out: names and explanations for people who have not met a gate before.
"""

from collections.abc import Collection

LABELS = {
    "cell_state": "cell state c",
    "forget_gate": "forget gate f",
    "update_gate": "update gate z",
    "input_gate": "input gate i",
    "output_gate": "output gate o",
    "reset_gate": "reset gate r",
    "candidate": "candidate",
    "hidden": "output h",
}
_MEANINGS = {
    "cell_state": "the conveyor belt: a number per unit that runs along time, from which things are taken off and onto "
    "which things are put",
    "forget_gate": "how much of the belt is kept from the frame before: 1 keeps all of it, 0 clears it",
    "update_gate": "forget and input gate in one: 1 keeps the state as it is, 0 writes the candidate over it",
    "input_gate": "how much of the new candidate is put onto the belt",
    "output_gate": "how much of the belt is shown to the outside, to the next layer and to the next frame's gates",
    "reset_gate": "how much of the last output enters the new candidate",
    "candidate": "what would be put onto the belt if the gate were wide open",
    "hidden": "what the unit says to the next layer, and to its own layer at the next frame",
}


def explanations(arrays: Collection[str], *, gates: bool, attention: bool) -> dict[str, str]:
    """By name, in the order in which one meets them; ``arrays`` are keys of ``LABELS``."""
    found = [(LABELS[name], f"{meaning}.") for name, meaning in _MEANINGS.items() if name in arrays]
    if gates:
        found += [
            (
                "half-life",
                "how long the belt takes to lose half of what is on it, with the unit's forget (GRU: update) gate held "
                "at its mean; effective: at its geometric mean, which counts the frames in which it forgets.",
            ),
            ("open, shut", "the share of frames in which a gate is above 0.9, below 0.1 (saturated right and left)."),
        ]
    if arrays:
        found += [
            ("dead", "the unit's output stays within 0.01 for nine tenths of this recording; it may wake in another."),
            (
                "follows",
                "correlation of the unit's state with what is heard or said, shown only above what shifted copies of "
                "it reach by chance.",
            ),
            ("backward", "reads the recording from its end: its memory at a frame is of what comes after it."),
        ]
    if attention:
        found.append(
            ("attention", "row by row, the frames (along time) from which each frame takes what it adds to itself.")
        )
    found.append(
        (
            "precision",
            "values here have 256 steps: gates 1/255 apart, states 1/127 of the unit's largest, of attention the "
            "square root in steps of 1/255; asr inspect --npz has them in full.",
        )
    )
    return dict(found)
