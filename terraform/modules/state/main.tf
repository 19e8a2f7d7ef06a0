locals {
  tags = merge(var.tags, { Component = "state" })
}

data "aws_partition" "current" {}

data "aws_region" "current" {}

resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_119:a key of one's own is the variable kms_key_arn; without it aws/dynamodb encrypts, for a hundredth of the price
  name                        = coalesce(var.table_name, var.name)
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.protected
  # Replicas are made from the stream, so it is there before the first of them.
  stream_enabled   = length(var.replicas) > 0
  stream_view_type = length(var.replicas) > 0 ? "NEW_AND_OLD_IMAGES" : null
  tags             = local.tags

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = var.recovery_days
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }

  dynamic "on_demand_throughput" {
    for_each = var.limits == null ? [] : [var.limits]

    content {
      max_read_request_units  = on_demand_throughput.value.read_units
      max_write_request_units = on_demand_throughput.value.write_units
    }
  }

  dynamic "replica" {
    for_each = var.replicas

    content {
      region_name = replica.key
      kms_key_arn = replica.value.kms_key_arn
      # Both are off unless they are asked for: the second copy would be unbacked and unbilled.
      point_in_time_recovery = true
      propagate_tags         = true
    }
  }

  lifecycle {
    precondition {
      condition     = !contains(keys(var.replicas), data.aws_region.current.id)
      error_message = "replicas has the table's own region, ${data.aws_region.current.id}: take it out, a replica is a further region."
    }
  }
}

# `prevent_destroy` takes no variable. This is destroyed whenever the table is, or is replaced, so
# where it exists neither can be planned, and where it does not (dev) both can.
resource "terraform_data" "keep" {
  count = var.protected ? 1 : 0

  triggers_replace = aws_dynamodb_table.this.arn

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_backup_vault" "this" {
  #checkov:skip=CKV_AWS_166:the vault is encrypted with aws/backup; with a key of one's own, that key
  name          = var.name
  kms_key_arn   = var.kms_key_arn
  force_destroy = !var.protected
  tags          = local.tags
}

resource "aws_backup_plan" "this" {
  name = var.name
  tags = local.tags

  rule {
    rule_name         = "daily"
    target_vault_name = aws_backup_vault.this.name
    schedule          = var.backup.schedule
    recovery_point_tags = merge(local.tags, {
      Table = coalesce(var.table_name, var.name)
    })

    lifecycle {
      delete_after = var.backup.keep_days
    }
  }
}

resource "aws_iam_role" "backup" {
  name = "${var.name}-backup"
  tags = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "backup.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "backup" {
  role       = aws_iam_role.backup.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup"
}

resource "aws_backup_selection" "this" {
  name         = var.name
  plan_id      = aws_backup_plan.this.id
  iam_role_arn = aws_iam_role.backup.arn
  resources    = [aws_dynamodb_table.this.arn]
}
