"""What libraries are told of a bucket: pyiceberg's properties, as obstore, pyarrow and DuckDB want them."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, Unauthorized
from engine.lake.bucket import BucketStorage
from engine.lake.buckets import duck_secret, obstore_options, pyarrow_s3_options, read_bucket
from engine.lake.sites import Site

S3 = {"s3.region": "eu-west-1", "s3.access-key-id": "id", "s3.secret-access-key": "it's"}
GCS = {"gcs.hmac-key-id": "id", "gcs.hmac-secret": "secret"}
ADLS = {"adls.account-name": "acct", "adls.account-key": "a2V5"}
LOGIN = {"adls.account-name": "acct", "adls.tenant-id": "t", "adls.client-id": "c", "adls.client-secret": "s"}


def test_a_bucket_at_amazon_is_reached_by_its_name_and_region() -> None:
    bucket = read_bucket("s3a://lakes/acme/", S3)
    assert bucket.root == "s3://lakes/acme"
    url, options = obstore_options(bucket)
    assert url == "s3://lakes/acme" and options["virtual_hosted_style_request"] and "endpoint" not in options
    assert pyarrow_s3_options(bucket)["force_virtual_addressing"] is True
    assert duck_secret(bucket) == (
        "CREATE SECRET warehouse (TYPE s3, PROVIDER config, SCOPE 's3://lakes/acme/', REGION 'eu-west-1', "
        "URL_STYLE 'vhost', KEY_ID 'id', SECRET 'it''s')"
    )


def test_a_bucket_elsewhere_is_reached_by_its_path() -> None:
    bucket = read_bucket("s3://lakes/acme", {**S3, "s3.endpoint": "http://minio:9000", "s3.session-token": "tok"})
    assert obstore_options(bucket)[1]["endpoint"] == "http://minio:9000"
    assert pyarrow_s3_options(bucket)["session_token"] == "tok"
    printed = duck_secret(bucket)
    assert "USE_SSL false" in printed and "ENDPOINT 'minio:9000'" in printed and "URL_STYLE 'path'" in printed


def test_a_public_bucket_is_read_without_keys() -> None:
    bucket = read_bucket("s3://open/data", {"s3.region": "us-east-1", "s3.anonymous": "true"})
    assert obstore_options(bucket)[1]["skip_signature"] is True
    assert pyarrow_s3_options(bucket)["anonymous"] is True
    assert "KEY_ID" not in duck_secret(bucket)


def test_googles_buckets_are_reached_with_hmac_keys() -> None:
    bucket = read_bucket("gcs://lakes", GCS)
    assert bucket.root == "gs://lakes"
    assert obstore_options(bucket)[1]["endpoint"] == "https://storage.googleapis.com"
    assert pyarrow_s3_options(bucket)["endpoint_override"] == "https://storage.googleapis.com"
    assert duck_secret(bucket) == (
        "CREATE SECRET warehouse (TYPE gcs, PROVIDER config, SCOPE 'gs://lakes/', KEY_ID 'id', SECRET 'secret')"
    )


@pytest.mark.parametrize(
    ("props", "told"),
    [
        (ADLS, "AccountName=acct;AccountKey=a2V5;EndpointSuffix=core.windows.net"),
        ({"adls.account-name": "acct", "adls.sas-token": "?sv=1&sig=x"}, "SharedAccessSignature=sv=1&sig=x"),
        (LOGIN, "PROVIDER service_principal"),
    ],
)
def test_azures_containers_are_reached_in_three_ways(props: dict[str, str], told: str) -> None:
    bucket = read_bucket("abfs://lakes/acme", props)
    assert obstore_options(bucket)[0] == "abfss://lakes/acme" and told in duck_secret(bucket)


@pytest.mark.parametrize(
    ("root", "props"),
    [
        ("s3://lakes", {}),
        ("s3://lakes", {**S3, "s3.region": ""}),
        ("s3://lakes", {**S3, "s3.anonymous": "true"}),
        ("gs://lakes", {"gcs.oauth2.token": "x"}),
        ("abfss://lakes", {"adls.account-name": "acct"}),
        ("abfss://lakes", {**ADLS, **LOGIN}),
        ("abfss://lakes", {**ADLS, "adls.account-name": "evil.example.com/"}),
    ],
)
def test_what_would_not_reach_it_or_use_other_credentials_is_refused(root: str, props: dict[str, str]) -> None:
    with pytest.raises(Conflict) as refused:
        read_bucket(root, props)
    assert refused.value.hint


@pytest.mark.parametrize(
    "location",
    ["s3://lakes/acme/../x", "s3://lakes/acme/a/%2e%2e/x", "s3://lakes/acme2/x", "s3://other/acme/x", "/lakes/acme/x",
     "s3://lakes/acme/a?b", "s3://lakes/acme//x", "s3://lakes/acme", "file:///etc/passwd", "s3://lakes/acme/a*"],
)  # fmt: skip
def test_a_storage_touches_nothing_outside_its_prefix(location: str) -> None:
    storage = BucketStorage(read_bucket("s3://lakes/acme", S3))
    work: Any
    for work in (storage.read, storage.size, storage.delete):
        with pytest.raises(Unauthorized):
            work(location)


def test_two_places_never_share_what_is_remembered() -> None:
    one, same = (Site("s3://lakes/acme", Path("/home/acme")) for _ in range(2))
    assert one == same and one.database != Site("s3://lakes/b", one.home).database
    keyed = Site("s3://lakes/acme", one.home, properties=tuple(S3.items()))
    assert keyed != one and "it's" not in repr(keyed)
