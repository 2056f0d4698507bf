"""Experiments on claims about the LSTM (``asr probe``): each module measures one and plots the result.

In: options, and trained models where the experiment is about these. Out: rows of figures with intervals, and plots.
Nothing here prints or knows of the command line.
"""
