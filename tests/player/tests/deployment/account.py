"""An account as Terraform leaves it: functions with two versions, two groups of relays, a bucket.

argv: address of the emulator, and the folder of the release whose zips are version 2.
"""

import json
import sys
from pathlib import Path

import boto3

NAME = "lifeverse-dev"
url, release = sys.argv[1], Path(sys.argv[2])


def client(name):
    return boto3.client(
        name,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


trust = {"Service": "lambda.amazonaws.com"}
policy = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": trust}]}
role = client("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(policy))
functions = client("lambda")
for function in ["chat", "fleet", "matchmaking", "safety", "signalling"]:
    name = f"{NAME}-{function}"
    functions.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Role=role["Role"]["Arn"],
        Handler="bootstrap",
        Code={"ZipFile": b"the version before " + function.encode()},
        Publish=True,
    )
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    zipped = (release / f"{function}-lambda.zip").read_bytes()
    functions.update_function_code(FunctionName=name, ZipFile=zipped, Publish=True)

ec2, groups = client("ec2"), client("autoscaling")
image = ec2.describe_images()["Images"][0]["ImageId"]
zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
for colour, version, machines in [("blue", "0.0.9", 2), ("green", "0.1.0", 0)]:
    ec2.create_launch_template(
        LaunchTemplateName=f"{NAME}-{colour}",
        VersionDescription=f"Relays, {colour}: {version}",
        LaunchTemplateData={"ImageId": image, "InstanceType": "t4g.small"},
    )
    groups.create_auto_scaling_group(
        AutoScalingGroupName=f"{NAME}-{colour}",
        LaunchTemplate={"LaunchTemplateName": f"{NAME}-{colour}", "Version": "$Latest"},
        MinSize=machines,
        MaxSize=4,
        DesiredCapacity=machines,
        AvailabilityZones=[zone],
        NewInstancesProtectedFromScaleIn=True,
    )
client("s3").create_bucket(Bucket=f"{NAME}-artefacts")
