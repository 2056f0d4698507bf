"""What Prometheus reads at /metrics: requests, seconds, audio, the queue, batches. One registry a server."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "asr_requests", "Requests by path and status", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "asr_request_seconds", "From a request's first byte to the end of its answer", ["path"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.audio_s = Counter("asr_audio_seconds", "Audio transcribed, in seconds", registry=self.registry)
        self.cancelled = Counter("asr_cancelled", "Recordings whose client went away", registry=self.registry)
        self.uploads = Gauge("asr_uploads", "Requests whose body is being received", registry=self.registry)
        self.queue = Gauge("asr_queue", "Recordings that wait or are computed", registry=self.registry)
        self.live = Gauge("asr_live_sessions", "Sessions of live sound that are open", registry=self.registry)
        self.batch = Histogram(
            "asr_batch_windows", "Windows computed at a time", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self.registry
        )

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)
