locals {
  tags = merge(var.tags, { Component = "relays" })

  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # Names are fixed: a group that is replaced waits for machines that nobody drains.
  groups = { for colour in keys(var.colours) : colour => "${var.name}-${colour}" }
  # On credit unless it is said: machines that run out of it are throttled, and voice comes late.
  has_credit = alltrue([for kind in var.instance_types : startswith(kind, "t")])
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

# Its whole name is what enrolment allows, and a session of it that is named like an instance is taken
# for that instance: EC2 alone may assume it.
resource "aws_iam_role" "relay" {
  name = "${var.name}-relay"
  tags = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "relay" {
  name = "relay"
  role = aws_iam_role.relay.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "Releases"
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = ["arn:${local.partition}:s3:::${var.artefacts.bucket}/*"]
        },
        {
          Sid    = "Drain"
          Effect = "Allow"
          Action = ["autoscaling:CompleteLifecycleAction"]
          Resource = [
            for group in values(local.groups) :
            "arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${group}"
          ]
        },
      ],
      var.records == null ? [] : [{
        Sid      = "Usage"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = ["arn:${local.partition}:s3:::${var.records.bucket}/usage/*"]
      }],
      try(var.remote_write.workspace_arn, null) == null ? [] : [{
        Sid      = "Metrics"
        Effect   = "Allow"
        Action   = ["aps:RemoteWrite"]
        Resource = [var.remote_write.workspace_arn]
      }],
    )
  })
}

# Session Manager in place of SSH: no port, no key, and a record of who was on which machine.
resource "aws_iam_role_policy_attachment" "sessions" {
  role       = aws_iam_role.relay.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "relay" {
  name = "${var.name}-relay"
  role = aws_iam_role.relay.name
  tags = local.tags
}

resource "aws_launch_template" "this" {
  #checkov:skip=CKV_AWS_88:a relay is reached by players, at an address of its own
  for_each = var.colours

  name                   = local.groups[each.key]
  description            = "Relays, ${each.key}: ${each.value.version}"
  image_id               = each.value.ami
  ebs_optimized          = true
  update_default_version = true
  user_data              = base64encode(local.user_data[each.key])
  tags                   = local.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.relay.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/sda1"

    ebs {
      volume_type           = "gp3"
      volume_size           = 10
      encrypted             = true
      kms_key_id            = var.kms_key_arn
      delete_on_termination = true
    }
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = true
    ipv6_address_count          = 1
    security_groups             = [var.network.security_group_id]
    delete_on_termination       = true

    # The second line: voice flows are untracked by the rules of the group, see there.
    connection_tracking_specification {
      tcp_established_timeout = 350
      udp_stream_timeout      = 60
      udp_timeout             = 30
    }
  }

  dynamic "credit_specification" {
    for_each = local.has_credit ? ["unlimited"] : []

    content {
      cpu_credits = credit_specification.value
    }
  }

  # Default tags reach nothing that a group starts.
  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = local.groups[each.key], Colour = each.key })
    }
  }

  lifecycle {
    precondition {
      condition     = var.capacity.shards <= var.network.media_ports
      error_message = "capacity.shards is ${var.capacity.shards}, and the network opens ${var.network.media_ports} ports for voice: raise media_ports of the network."
    }
    precondition {
      condition     = length(local.user_data[each.key]) <= 16384
      error_message = "The first-start script of ${each.key} is over the 16,384 bytes that EC2 takes: shorten what is in files/."
    }
  }
}

resource "aws_autoscaling_group" "this" {
  for_each = var.colours

  name                = local.groups[each.key]
  min_size            = each.value.min
  max_size            = each.value.max
  vpc_zone_identifier = var.network.subnet_ids
  # A relay is drained and then ended; nothing else ends one that carries people.
  protect_from_scale_in     = true
  suspended_processes       = ["AZRebalance"]
  capacity_rebalance        = false
  health_check_type         = "EC2"
  health_check_grace_period = 300
  termination_policies      = ["OldestLaunchTemplate", "OldestInstance"]
  # A machine takes minutes and its edge may not be there yet: an apply does not wait for it.
  wait_for_capacity_timeout = "0"
  force_delete              = var.disposable
  # Nothing tells them unless it is asked; they cost nothing, and an alarm waits for them.
  enabled_metrics     = ["GroupDesiredCapacity", "GroupInServiceInstances", "GroupTerminatingInstances"]
  metrics_granularity = "1Minute"

  mixed_instances_policy {
    instances_distribution {
      on_demand_percentage_above_base_capacity = var.spot ? 0 : 100
      on_demand_allocation_strategy            = "prioritized"
      spot_allocation_strategy                 = "price-capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.this[each.key].id
        version            = aws_launch_template.this[each.key].latest_version
      }

      dynamic "override" {
        for_each = var.instance_types

        content {
          instance_type = override.value
        }
      }
    }
  }

  dynamic "tag" {
    for_each = merge(local.tags, { Name = local.groups[each.key], Colour = each.key })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  initial_lifecycle_hook {
    name                 = "drain"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    # A drain takes 75 s at most. One that nobody completes is over after this, and the machine with it.
    heartbeat_timeout = 300
    default_result    = "ABANDON"
  }

  timeouts {
    delete = "2h"
  }

  lifecycle {
    # The deployment's and the calendar's: an apply in between would end machines with people on them.
    ignore_changes = [desired_capacity, min_size]
  }
}
