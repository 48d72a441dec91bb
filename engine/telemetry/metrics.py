"""Prometheus metrics: calls as the gate audits them, and gauges that are read when scraped."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from core.ports import AuditRecord

MAX_TENANTS = 200
OTHER = "other"
BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
Reading = Callable[[], Mapping[str, float]]


class Metrics:
    """The metrics of one process. Series are bounded: tenants past `max_tenants` count as `other`."""

    def __init__(self, *, max_tenants: int = MAX_TENANTS):
        import prometheus_client as prometheus  # brings an HTTP server along: 80 ms that most commands save

        self._prometheus: Any = prometheus
        self._registry: Any = prometheus.CollectorRegistry()
        self._max_tenants = max_tenants
        self._tenants: set[str] = set()
        self._calls: Any = prometheus.Counter(
            "headwater_calls",
            "Calls that reached the gate.",
            ("tool", "face", "code", "tenant"),
            registry=self._registry,
        )
        self._seconds: Any = prometheus.Histogram(
            "headwater_call_seconds", "Duration of calls.", ("tool", "face"), buckets=BUCKETS_S, registry=self._registry
        )
        # The library finds a series through its labels each time; kept here, counting costs a third.
        self._count: dict[tuple[str, str, str, str], Callable[[], None]] = {}
        self._time: dict[tuple[str, str], Callable[[float], None]] = {}
        for collector in (prometheus.ProcessCollector, prometheus.PlatformCollector, prometheus.GCCollector):
            collector(registry=self._registry)

    def observe(self, record: AuditRecord) -> None:
        """Count one call."""
        key = (record.tool, record.face, record.code, self._tenant(record.tenant))
        count = self._count.get(key)
        if count is None:
            count = self._count[key] = self._calls.labels(*key).inc
        count()
        place = (record.tool, record.face)
        time = self._time.get(place)
        if time is None:
            time = self._time[place] = self._seconds.labels(*place).observe
        time(record.duration_ms / 1000)

    def watch(self, name: str, description: str, label: str, read: Reading) -> None:
        """Add a gauge: `read` gives its values by the label's value, and is called at each scrape."""
        self._registry.register(_Gauge(self._prometheus, name, description, label, read))

    def render(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return self._prometheus.generate_latest(self._registry), self._prometheus.CONTENT_TYPE_LATEST

    def _tenant(self, tenant: str) -> str:
        if tenant in self._tenants:
            return tenant
        if len(self._tenants) >= self._max_tenants:
            return OTHER
        self._tenants.add(tenant)
        return tenant


class _Gauge:
    """A gauge whose values are read when they are asked for."""

    def __init__(self, prometheus: Any, name: str, description: str, label: str, read: Reading):
        self._new: Callable[[], Any] = lambda: prometheus.metrics_core.GaugeMetricFamily(
            name, description, labels=(label,)
        )
        self._read = read

    def describe(self) -> Iterable[Any]:
        return [self._new()]

    def collect(self) -> Iterable[Any]:
        family = self._new()
        for label, value in self._read().items():
            family.add_metric((label,), value)
        return [family]
