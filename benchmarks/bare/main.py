"""What the cold starts are compared with: a functions-framework function that does one boto3 GET, and nothing else."""

import os

import boto3
import functions_framework
from flask import Request


@functions_framework.http  # type: ignore[untyped-decorator]
def bare(_request: Request) -> bytes:
    """An object's bytes."""
    client = boto3.client("s3", endpoint_url=os.environ["POLYGLOT_S3_URL"], region_name=os.environ["AWS_REGION"])
    found: bytes = client.get_object(Bucket=os.environ["POLYGLOT_BUCKET"], Key=os.environ["OBJECT"])["Body"].read()
    return found
