mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-west-1", name = "eu-west-1" }
  }
  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/lifeverse-prod-eu-west-1-relay" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 3 }
  }
}

# The example of the README.
variables {
  name         = "lifeverse-prod-eu-west-1"
  network      = { subnet_ids = ["subnet-0a", "subnet-0b"], security_group_id = "sg-0123456789abcdef0", media_ports = 8 }
  edge_url     = "https://voice.example.com"
  voice_region = "eu"
  artefacts = {
    bucket      = "lifeverse-artefacts"
    region      = "eu-west-1"
    release_key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
  }
  colours = {
    blue  = { version = "0.1.0", ami = "ami-0123456789abcdef0", min = 2, max = 10 }
    green = { version = "0.2.0", ami = "ami-0fedcba9876543210", max = 10 }
  }
  tags = { Project = "lifeverse", Env = "prod", Owner = "voice", CostCentre = "voice", ManagedBy = "terraform" }
}

run "the_example_of_the_readme" {
  assert {
    condition     = aws_autoscaling_group.this["blue"].min_size == 2 && aws_autoscaling_group.this["green"].min_size == 0
    error_message = "one colour serves, the other is there to take over"
  }
  assert {
    condition     = aws_launch_template.this["blue"].image_id == "ami-0123456789abcdef0" && aws_launch_template.this["green"].image_id == "ami-0fedcba9876543210"
    error_message = "each colour has its own image"
  }
  assert {
    condition = alltrue([
      for template in aws_launch_template.this :
      one(template.metadata_options).http_tokens == "required" && one(template.metadata_options).http_put_response_hop_limit == 1
    ])
    error_message = "credentials are behind IMDSv2, one hop away"
  }
  assert {
    condition     = alltrue([for template in aws_launch_template.this : toset(template.tag_specifications[*].resource_type) == toset(["instance", "volume", "network-interface"])])
    error_message = "what a group starts is tagged"
  }
  assert {
    condition = alltrue([
      for group in aws_autoscaling_group.this :
      one(group.initial_lifecycle_hook).lifecycle_transition == "autoscaling:EC2_INSTANCE_TERMINATING" && one(group.initial_lifecycle_hook).heartbeat_timeout > 75
    ])
    error_message = "the end of a machine waits for the drain, which takes 75 s"
  }
  assert {
    condition     = alltrue([for group in aws_autoscaling_group.this : group.protect_from_scale_in && contains(group.suspended_processes, "AZRebalance") && !group.force_delete])
    error_message = "no machine with people on it is ended for tidiness"
  }
  assert {
    condition     = alltrue([for group in aws_autoscaling_group.this : contains(group.enabled_metrics, "GroupTerminatingInstances")])
    error_message = "the alarm on machines that never end has its metric"
  }
  assert {
    condition     = length(aws_launch_template.this["blue"].credit_specification) == 0
    error_message = "c7g has no credit"
  }
  assert {
    condition     = jsondecode(aws_iam_role.relay.assume_role_policy).Statement[0].Principal == { Service = "ec2.amazonaws.com" } && output.role == "lifeverse-prod-eu-west-1-relay"
    error_message = "EC2 alone may assume the role, whose name is known"
  }
  assert {
    condition = alltrue([
      for colour, version in { blue = "0.1.0", green = "0.2.0" } : anytrue([
        for file in jsondecode(trimprefix(base64decode(aws_launch_template.this[colour].user_data), "#cloud-config\n")).write_files :
        strcontains(file.content, "VERSION='${version}'\n") && strcontains(file.content, "COLOUR='${colour}'\n") && strcontains(file.content, "REMOTE_WRITE_URL=''\n")
      ])
    ])
    error_message = "a machine is told its version and its colour"
  }
  assert {
    condition     = output.machines_max == 20
    error_message = "both colours at once are what quotas must hold"
  }
}

run "dev_is_cheap" {
  command = plan
  variables {
    instance_types = ["t4g.small", "t4g.medium"]
    spot           = true
    disposable     = true
    remote_write   = { url = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write", workspace_arn = "arn:aws:aps:eu-west-1:123456789012:workspace/ws-1" }
  }
  assert {
    condition     = one(aws_launch_template.this["blue"].credit_specification).cpu_credits == "unlimited"
    error_message = "out of credit, voice would be late"
  }
  assert {
    condition     = aws_autoscaling_group.this["blue"].force_delete
    error_message = "dev is destroyed at will"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.relay.policy).Statement[2].Action == ["aps:RemoteWrite"]
    error_message = "it may send metrics"
  }
}

run "wrong_variables" {
  command = plan
  variables {
    name           = "LifeVerse"
    edge_url       = "http://voice.example.com"
    voice_region   = "EU west"
    artefacts      = { bucket = "arn:aws:s3:::b", region = "eu-west-1", release_key = "release.pem" }
    colours        = { blue = { version = "latest", ami = "ami-latest", min = 3, max = 2 }, red = { version = "0.1.0", ami = "ami-0123456789abcdef0", max = 1 } }
    instance_types = ["large"]
    capacity       = { participants = 0 }
    remote_write   = { url = "http://metrics" }
    kms_key_arn    = "alias/mine"
    tags           = { Project = "lifeverse" }
  }
  expect_failures = [
    var.name, var.edge_url, var.voice_region, var.artefacts, var.colours, var.instance_types, var.capacity, var.remote_write,
    var.kms_key_arn, var.tags,
  ]
}

run "more_shards_than_open_ports" {
  command = plan
  variables {
    capacity = { shards = 9 }
  }
  expect_failures = [aws_launch_template.this]
}
