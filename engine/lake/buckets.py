"""Properties of a bucket as pyiceberg names them, and what obstore, pyarrow and DuckDB make of them.

Credentials are always the configuration's own: left out, these libraries would look for the server's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from core.errors import Conflict, Unavailable

LOCATION = re.compile(
    r"(s3|s3a|s3n|gs|gcs|abfs|abfss)://([A-Za-z0-9][A-Za-z0-9._-]{1,62})((?:/[^/\x00-\x20\x7f?#*\[\]{}\\]+)*)/?"
)
_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss"}
_GOOGLE = "https://storage.googleapis.com"
_AZURE = "core.windows.net"
_S3 = frozenset(
    {"s3.endpoint", "s3.region", "s3.access-key-id", "s3.secret-access-key", "s3.session-token",
     "s3.force-virtual-addressing", "s3.anonymous"}
)  # fmt: skip
_GCS = frozenset({"gcs.endpoint", "gcs.hmac-key-id", "gcs.hmac-secret"})
_ADLS = frozenset(
    {"adls.account-name", "adls.account-key", "adls.sas-token", "adls.tenant-id", "adls.client-id",
     "adls.client-secret"}
)  # fmt: skip
NAMES: Mapping[str, frozenset[str]] = {"s3": _S3, "gs": _GCS, "abfss": _ADLS}
EXTENSIONS: Mapping[str, tuple[str, ...]] = {"s3": ("httpfs",), "gs": ("httpfs",), "abfss": ("azure",)}
_VALUE = re.compile(r"[!-~]{1,4096}")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_AZURE_LOGIN = ("adls.tenant-id", "adls.client-id", "adls.client-secret")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A prefix of a bucket, or container, with the properties to reach it."""

    scheme: str
    name: str
    prefix: str  # begins with a slash unless it is empty
    properties: Mapping[str, str]

    @property
    def root(self) -> str:
        return f"{self.scheme}://{self.name}{self.prefix}"

    @property
    def endpoint(self) -> str:
        """The address that is called, where the configuration chooses it; empty for the cloud's own."""
        return self.properties.get("s3.endpoint") or self.properties.get("gcs.endpoint") or ""


def spelled(location: str) -> str:
    """A location with the first of the names that its scheme goes by."""
    scheme, mark, rest = location.partition("://")
    return f"{_SAME.get(scheme.lower(), scheme.lower())}{mark}{rest}" if mark else location


def read_bucket(root: str, properties: Mapping[str, str]) -> Bucket:
    """Raises Conflict for what is no place in a bucket, and for properties that do not reach it."""
    found = LOCATION.fullmatch(root)
    if found is None or any(part in (".", "..") for part in found[3].split("/")):
        raise Conflict(
            "`warehouse` is neither a folder nor a place in a bucket.",
            hint="Write /folder, s3://bucket/prefix, gs://bucket/prefix or abfss://container/prefix.",
        )
    scheme = _SAME.get(found[1], found[1])
    bucket = Bucket(
        scheme, found[2], found[3], {name: properties[name] for name in NAMES[scheme] if name in properties}
    )
    _check(bucket)
    return bucket


def _check(bucket: Bucket) -> None:
    given = bucket.properties
    for name, value in given.items():
        if not _VALUE.fullmatch(value):
            raise Conflict(f"The property {name} has an odd value.", hint="It is printable ASCII without spaces.")
    for name in ("s3.force-virtual-addressing", "s3.anonymous"):
        if given.get(name, "true") not in ("true", "false"):
            raise Conflict(f"The property {name} is true or false.", hint="Leave it out for false.")
    if bucket.scheme == "s3":
        is_keyed = {"s3.access-key-id", "s3.secret-access-key"} <= given.keys()
        if not _REGION.fullmatch(given.get("s3.region", "")) or is_keyed == _is_anonymous(given):
            raise Conflict(
                "A warehouse on S3 needs s3.region, and either s3.access-key-id with s3.secret-access-key, or "
                "s3.anonymous.",
                hint="Send them in extra_props; this server's own credentials are never used.",
            )
    elif bucket.scheme == "gs" and not {"gcs.hmac-key-id", "gcs.hmac-secret"} <= given.keys():
        raise Conflict(
            "A warehouse on Google Cloud Storage needs gcs.hmac-key-id and gcs.hmac-secret.",
            hint="Make an HMAC key of a service account; this server's own credentials are never used.",
        )
    elif bucket.scheme == "abfss":
        ways = ("adls.account-key" in given, "adls.sas-token" in given, all(name in given for name in _AZURE_LOGIN))
        if not _ACCOUNT.fullmatch(given.get("adls.account-name", "")) or sum(ways) != 1:
            raise Conflict(
                "A warehouse on Azure needs adls.account-name, and one of adls.account-key, adls.sas-token, or "
                f"{', '.join(_AZURE_LOGIN)}.",
                hint="Send them in extra_props; this server's own credentials are never used.",
            )


def narrowed(bucket: Bucket, location: str) -> Bucket:
    """Only one place in a bucket, with its properties. Raises Unavailable for one that is not below it."""
    place, root = spelled(location).rstrip("/"), f"{bucket.root}/"
    found = LOCATION.fullmatch(place)
    if found is None or not place.startswith(root) or any(part in (".", "..") for part in found[3].split("/")):
        raise Unavailable(
            "A table lies outside its owner's warehouse.", hint="Ask the owner to move it there, or for an export."
        )
    return replace(bucket, prefix=found[3])


def _is_anonymous(given: Mapping[str, str]) -> bool:
    return given.get("s3.anonymous") == "true"


def obstore_options(bucket: Bucket) -> tuple[str, dict[str, Any]]:
    """URL and options of the bucket for `obstore.store.from_url`."""
    given = bucket.properties
    if bucket.scheme == "abfss":
        options: dict[str, Any] = {
            "account_name": given["adls.account-name"],
            "account_key": given.get("adls.account-key"),
            "sas_key": given.get("adls.sas-token"),
            "client_id": given.get("adls.client-id"),
            "client_secret": given.get("adls.client-secret"),
            "tenant_id": given.get("adls.tenant-id"),
        }
        return bucket.root, {name: value for name, value in options.items() if value is not None}
    options = {"endpoint": bucket.endpoint or (_GOOGLE if bucket.scheme == "gs" else None)}
    if bucket.scheme == "gs":
        options |= {"region": "auto", "access_key_id": given["gcs.hmac-key-id"]}
        options |= {"secret_access_key": given["gcs.hmac-secret"]}
    elif _is_anonymous(given):
        options |= {"region": given["s3.region"], "skip_signature": True}
    else:
        options |= {"region": given["s3.region"], "access_key_id": given["s3.access-key-id"]}
        options |= {"secret_access_key": given["s3.secret-access-key"], "session_token": given.get("s3.session-token")}
    if bucket.scheme == "s3":
        options["virtual_hosted_style_request"] = _is_virtual(bucket)
    return f"s3://{bucket.name}{bucket.prefix}", {name: value for name, value in options.items() if value is not None}


def pyarrow_s3_options(bucket: Bucket) -> dict[str, Any]:
    """Arguments of pyarrow's S3FileSystem; Google's buckets speak that protocol too."""
    given = bucket.properties
    if bucket.scheme == "gs":
        keys = {"access_key": given["gcs.hmac-key-id"], "secret_key": given["gcs.hmac-secret"]}
        return {**keys, "region": "auto", "endpoint_override": bucket.endpoint or _GOOGLE}
    options: dict[str, Any] = {"region": given["s3.region"], "force_virtual_addressing": _is_virtual(bucket)}
    if bucket.endpoint:
        options["endpoint_override"] = bucket.endpoint
    if _is_anonymous(given):
        return options | {"anonymous": True}
    keys = {"access_key": given["s3.access-key-id"], "secret_key": given["s3.secret-access-key"]}
    return {**options, **keys, "session_token": given.get("s3.session-token")}


def duck_secret(bucket: Bucket, name: str = "warehouse") -> str:
    """The statement that lets DuckDB read below the bucket's prefix, and not elsewhere."""
    given = bucket.properties
    if bucket.scheme == "abfss":
        return _azure_secret(bucket, name)
    target = urlsplit(bucket.endpoint)
    values: dict[str, str] = {"SCOPE": f"{bucket.root}/"}
    if bucket.scheme == "gs":
        values |= {"KEY_ID": given["gcs.hmac-key-id"], "SECRET": given["gcs.hmac-secret"]}
    else:
        values |= {"REGION": given["s3.region"], "URL_STYLE": "vhost" if _is_virtual(bucket) else "path"}
        values |= {"KEY_ID": given.get("s3.access-key-id", ""), "SECRET": given.get("s3.secret-access-key", "")}
        values |= {"SESSION_TOKEN": given.get("s3.session-token", "")}
    if bucket.endpoint:
        values["ENDPOINT"] = f"{target.netloc}{target.path.rstrip('/')}"
        values["URL_STYLE"] = values.get("URL_STYLE", "path")
    kind = "gcs" if bucket.scheme == "gs" else "s3"
    plain = ", USE_SSL false" if target.scheme == "http" else ""
    return f"CREATE SECRET {name} (TYPE {kind}, PROVIDER config{plain}{_printed(values)})"


def _azure_secret(bucket: Bucket, name: str) -> str:
    given = bucket.properties
    account = given["adls.account-name"]
    values = {"SCOPE": f"{bucket.root}/"}
    if "adls.client-secret" in given:
        values |= {"ACCOUNT_NAME": account, "TENANT_ID": given["adls.tenant-id"]}
        values |= {"CLIENT_ID": given["adls.client-id"], "CLIENT_SECRET": given["adls.client-secret"]}
        return f"CREATE SECRET {name} (TYPE azure, PROVIDER service_principal{_printed(values)})"
    if "adls.account-key" in given:
        key = f"AccountKey={given['adls.account-key']};EndpointSuffix={_AZURE}"
        values["CONNECTION_STRING"] = f"DefaultEndpointsProtocol=https;AccountName={account};{key}"
    else:
        signature = given["adls.sas-token"].removeprefix("?")
        values["CONNECTION_STRING"] = f"BlobEndpoint=https://{account}.blob.{_AZURE};SharedAccessSignature={signature}"
    return f"CREATE SECRET {name} (TYPE azure, PROVIDER config{_printed(values)})"


def _printed(values: Mapping[str, str]) -> str:
    quoted = ((name, value.replace("'", "''")) for name, value in values.items() if value)
    return "".join(f", {name} '{value}'" for name, value in quoted)


def _is_virtual(bucket: Bucket) -> bool:
    """Whether the bucket's name goes into the host: at Amazon, unless the properties say otherwise."""
    return bucket.properties.get("s3.force-virtual-addressing", "false" if bucket.endpoint else "true") == "true"
