"""What a query costs: bytes scanned and CPU time at the operator's prices, in whole nano-dollars."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

NANO = 1_000_000_000
BYTES_PER_TB = 10**12
MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per terabyte (10^12 bytes) read from tables, and per hour of CPU time."""

    usd_per_tb: Decimal
    usd_per_cpu_hour: Decimal

    def nano(self, *, bytes_scanned: int, cpu_ms: int) -> int:
        """The price in nano-dollars, rounded up, so that nothing that costs is free."""
        usd = self.usd_per_tb * bytes_scanned / BYTES_PER_TB + self.usd_per_cpu_hour * cpu_ms / MS_PER_HOUR
        return int((usd * NANO).to_integral_value(ROUND_CEILING))


def to_usd(nano: int) -> Decimal:
    """Nano-dollars as an exact amount without needless zeros."""
    usd = Decimal(nano).scaleb(-9)
    return usd.quantize(Decimal("0.01")) if usd == usd.quantize(Decimal("0.01")) else usd.normalize()


def to_nano(usd: Decimal) -> int:
    return int((usd * NANO).to_integral_value(ROUND_CEILING))
