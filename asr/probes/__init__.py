"""The claims that are made about the LSTM, as experiments: each module measures one and draws what it found.

In: settings, and a trained model where the experiment is about one. Out: rows of figures with intervals, and a plot
of them. Knows nothing of the command line; ``asr probe`` (asr/commands/probe.py) is the door.
"""
