"""Settings, defined and described here; `headwater/settings.py` reads them from environment and TOML.

Environment names are `HEADWATER_<GROUP>__<NAME>`, for example `HEADWATER_SERVER__REST_PORT=9000`;
in `HOME/headwater.toml` each group is a table."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(Group):
    """Addresses and limits of the faces."""

    host: str = Field("127.0.0.1", description="Address that all faces listen on.")
    rest_port: int = Field(8000, ge=0, le=65535, description="Port of REST; 0 picks a free one.")
    grpc_web_port: int = Field(8001, ge=0, le=65535, description="Port of gRPC-Web; 0 picks a free one.")
    mcp_port: int = Field(8002, ge=0, le=65535, description="Port of MCP; 0 picks a free one.")
    grpc_port: int = Field(50051, ge=0, le=65535, description="Port of gRPC; 0 picks a free one.")
    admin_port: int = Field(9464, ge=0, le=65535, description="Loopback port of Prometheus `/metrics`; 0 picks one.")
    workers: int = Field(1, ge=1, le=64, description="Serving processes that share the ports.")
    public_url: str = Field("", description="URL under which clients reach this server, where a proxy is in front.")
    allowed_hosts: list[str] = Field([], description="Host names accepted beside loopback and `public_url`.")
    cors_origins: list[str] = Field([], description="Origins of browser apps that may call REST, gRPC-Web and MCP.")
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) for all faces.")
    tls_key: Path | None = Field(None, description="Private key (PEM) of `tls_cert`.")
    behind_tls_proxy: bool = Field(False, description="A proxy in front ends TLS; silences the plain-text warning.")
    max_body_mb: int = Field(16, ge=1, le=1024, description="Largest request body, in MB.")
    timeout_s: float = Field(60.0, gt=0, description="Longest run of one call, in seconds, unless it is a job.")


class StoreSettings(Group):
    """Where platform state lives."""

    url: SecretStr = Field(
        SecretStr(""), description="SQLAlchemy URL of PostgreSQL; empty means SQLite in the home folder."
    )
    pool_size: int = Field(8, ge=1, le=200, description="Store connections of one process.")


class AuthSettings(Group):
    """Who may call."""

    enabled: bool = Field(True, description="False lets every caller in as administrator; loopback only.")
    token_lifetime_s: int = Field(7200, ge=60, le=86400, description="Lifetime of tokens from /auth/token, seconds.")
    key_rotation_days: int = Field(30, ge=1, le=365, description="Age at which a new signing key takes over.")
    audience: str = Field("headwater", description="`aud` of our tokens and the one demanded of others.")
    clients_file: Path | None = Field(None, description="An auth_clients.yml; default HOME/auth_clients.yml if there.")
    issuers_file: Path | None = Field(None, description="YAML of external token issuers; default HOME/issuers.yml.")
    guesses_per_minute: int = Field(10, ge=1, le=1000, description="Failed sign-ins a client and address may make.")


class LimitSettings(Group):
    """How much a tenant may ask."""

    redis_url: SecretStr = Field(SecretStr(""), description="Redis for limits shared by replicas; empty: the store.")


class QuerySettings(Group):
    """Bounds of one query."""

    memory_mb: int = Field(1024, ge=64, description="Memory of the embedded engine, in MB.")
    threads: int = Field(0, ge=0, le=256, description="Threads of the embedded engine; 0 means all cores.")
    max_rows: int = Field(10_000, ge=1, le=1_000_000, description="Rows that a query answers with at most.")
    max_stream_rows: int = Field(50_000_000, ge=1, description="Rows that a stream carries at most.")
    max_mb: int = Field(64, ge=1, description="Size of a query's answer at most, in MB of Arrow.")
    timeout_s: int = Field(30, ge=1, le=3600, description="Seconds that a query may run unless it asks for fewer.")
    schema_ttl_s: int = Field(300, ge=1, description="Seconds after which a cached schema is read again.")
    allowed_roots: list[Path] = Field([], description="Folders for file connections and warehouses.")
    writable_roots: list[Path] = Field([], description="Those of them in which SQLite files may be written.")
    cache_mb: int = Field(64, ge=0, le=65536, description="Answers kept by one process, in MB; 0 keeps none.")
    usd_per_tb: Decimal = Field(Decimal(5), ge=0, le=10**6, description="Price of a terabyte scanned, in USD.")
    usd_per_cpu_hour: Decimal = Field(Decimal("0.05"), ge=0, le=10**6, description="Price of an hour of CPU, in USD.")


class EdgeSettings(Group):
    """Where statements run: the data plane."""

    isolation: Literal["process", "thread"] = Field(
        "process",
        description="`process` has servers run statements in data planes of their own; `thread` in themselves.",
    )
    memory_mb: int = Field(0, ge=0, description="Memory that all engines of a data plane share; 0 is half the machine.")
    url: str = Field("", description="Address of a data plane that was started elsewhere, as host:port or unix:PATH.")
    credentials: Path | None = Field(
        None, description="Folder with `token`, and for mutual TLS `ca.pem`, `cert.pem` and `key.pem`, for `url`."
    )


class ResultSettings(Group):
    """Rows of query jobs, and exports."""

    url: SecretStr = Field(SecretStr(""), description="s3://, gs:// or az:// bucket and prefix; empty: the home.")
    options: dict[str, SecretStr] = Field({}, description="Region, endpoint and keys of the bucket, in its own words.")
    keep_days: float = Field(7, gt=0, le=365, description="Days after which results and exports are deleted.")
    max_mb: int = Field(4096, ge=1, description="Size of a result or export at most, in MB.")
    presigned: bool = Field(False, description="Links to exports are the bucket's own, and exports are not sealed.")


class JobSettings(Group):
    """The durable queue."""

    embedded_workers: int = Field(1, ge=0, le=16, description="Jobs that `serve` itself runs at a time; 0 for none.")
    lease_s: float = Field(15.0, gt=0, description="Seconds without a sign of life after which a job or run is free.")
    max_attempts: int = Field(5, ge=1, le=100, description="Starts of one job before it counts as failed.")


class EgressSettings(Group):
    """Outbound calls."""

    allowed_private_hosts: list[str] = Field([], description="host or host:port in private networks to allow.")
    timeout_s: float = Field(10.0, gt=0, description="Longest outbound call, in seconds.")
    max_response_kb: int = Field(1024, ge=1, description="Largest answer accepted, in kB.")
    ca_file: Path | None = Field(None, description="Extra certificate authorities (PEM).")


class ModelSettings(Group):
    """Language models."""

    file: Path | None = Field(None, description="A models.yml; default HOME/models.yml if there.")


class NoticeSettings(Group):
    """Mail."""

    smtp_url: SecretStr = Field(
        SecretStr(""), description="smtp:// or smtps:// URL with user, password and ?from=ADDRESS; empty sends no mail."
    )


class TelemetrySettings(Group):
    """Logs, traces, metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level logged.")
    log_json: bool = Field(False, description="One JSON object per log line.")
    otlp_endpoint: str = Field("", description="OTLP/HTTP endpoint for traces; empty exports nothing.")
    audit_endpoint: str = Field("", description="OTLP/HTTP endpoint for audit records as logs; empty sends none.")


class Settings(Group):
    """Everything that a deployment may change."""

    home: Path = Field(Path(".headwater"), description="Folder of all local state; also HEADWATER_HOME.")
    server: ServerSettings = Field(ServerSettings(), description="Addresses and limits of the faces.")
    store: StoreSettings = Field(StoreSettings(), description="Where platform state lives.")
    auth: AuthSettings = Field(AuthSettings(), description="Who may call.")
    limits: LimitSettings = Field(LimitSettings(), description="How much a tenant may ask.")
    query: QuerySettings = Field(QuerySettings(), description="Bounds of one query.")
    edge: EdgeSettings = Field(EdgeSettings(), description="Where statements run: the data plane.")
    results: ResultSettings = Field(ResultSettings(), description="Rows of query jobs, and exports.")
    jobs: JobSettings = Field(JobSettings(), description="The durable queue.")
    egress: EgressSettings = Field(EgressSettings(), description="Outbound calls.")
    models: ModelSettings = Field(ModelSettings(), description="Language models.")
    notices: NoticeSettings = Field(NoticeSettings(), description="Mail.")
    telemetry: TelemetrySettings = Field(TelemetrySettings(), description="Logs, traces, metrics.")
