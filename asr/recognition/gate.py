"""stub"""


class SignalTracker:
    def __init__(self, sample_rate):
        pass

    def push(self, block):
        pass


def apply_gate(log_probs, signal, frame_s, edge_s):
    return log_probs
