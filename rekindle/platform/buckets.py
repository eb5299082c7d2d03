"""
The buckets of a team's object store, and who may do what in each: one user a service.

Any store that speaks S3 with bucket policies will do. Users are the store's own business; here they are only named.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

READ = ("s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation")
EVERYTHING = ("s3:*",)

ALLOWED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # Deliveries: who imports writes, what is scored of them only reads.
    "landing": {"importer": EVERYTHING, "spark": READ, "tasks": READ},
    # Tables: Spark alone. Whoever reads one asks Spark.
    "lake": {"spark": EVERYTHING},
    # Models: through MLflow's server alone, which knows who asks.
    "mlflow": {"mlflow": EVERYTHING},
}
"""By bucket and user. A user that is not named may do nothing there."""


def policy(bucket: str, users: Mapping[str, tuple[str, ...]]) -> str:
    """The bucket's policy, as S3 takes it."""
    both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": [user]}, "Action": list(actions), "Resource": both}
        for user, actions in users.items()
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def create(endpoint: str, access_key: str, secret_key: str) -> tuple[str, ...]:
    """Create the buckets that are missing and set the policies of all; returns the buckets."""
    client = _client(endpoint, access_key, secret_key)
    present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for bucket, users in ALLOWED.items():
        if bucket not in present:
            client.create_bucket(Bucket=bucket)
        client.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, users))
    return tuple(ALLOWED)


def _client(endpoint: str, access_key: str, secret_key: str) -> Any:
    import boto3  # only a team's images have it

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
    )
