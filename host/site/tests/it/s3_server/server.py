"""moto's S3 server on a port of its own. Says where it is on the first line, as JSON, and ends with its standard input.

With `accounts` it also makes two accounts, one that may do everything and one that may only read, and checks each request's
signature and rights from then on.
"""

import json
import sys
import urllib.request

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

BUCKETS = ["sites", "other"]


def policy(*actions, **more):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def account(iam, name, *actions):
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy(*actions))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
said = {"origin": f"http://{host}:{port}"}
aws = {
    "endpoint_url": said["origin"],
    "region_name": "us-east-1",
    "aws_access_key_id": "setup",
    "aws_secret_access_key": "setup",
}
s3 = boto3.client("s3", **aws)
for bucket in BUCKETS:
    s3.create_bucket(Bucket=bucket)
    if "accounts" not in sys.argv[1:]:
        # Visitors come without credentials.
        s3.put_bucket_policy(Bucket=bucket, Policy=policy("s3:*", Principal="*"))
if "accounts" in sys.argv[1:]:
    iam = boto3.client("iam", **aws)
    said["writer"] = account(iam, "writer", "s3:*")
    said["reader"] = account(iam, "reader", "s3:GetObject", "s3:ListBucket")
    check = urllib.request.Request(f"{said['origin']}/moto-api/reset-auth", data=b"0", method="POST")
    check.add_header("Content-Type", "text/plain")
    urllib.request.urlopen(check).read()
print(json.dumps(said), flush=True)
sys.stdin.read()
server.stop()
