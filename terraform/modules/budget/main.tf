locals {
  tags = merge(var.tags, { Component = "budget" })

  # What is told at which percent, and of what.
  notifications = { half = [50, "ACTUAL"], most = [80, "ACTUAL"], all = [100, "ACTUAL"], soon = [100, "FORECASTED"] }
  is_braked     = length(var.brake_roles) > 0
}

data "aws_partition" "current" {}

# Bills are hours to two days late. What stops a runaway within minutes is the service's own records.
resource "aws_budgets_budget" "this" {
  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  tags         = local.tags

  dynamic "notification" {
    for_each = local.notifications

    content {
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value[0]
      threshold_type             = "PERCENTAGE"
      notification_type          = notification.value[1]
      subscriber_email_addresses = var.receivers
    }
  }
}

resource "aws_iam_policy" "brake" {
  #checkov:skip=CKV_AWS_355:it denies
  #checkov:skip=CKV_AWS_290:it denies
  count = local.is_braked ? 1 : 0

  name        = "${var.name}-brake"
  description = "Nothing new is started: the budget is used up"
  tags        = local.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "NothingNew"
      Effect   = "Deny"
      Action   = ["ec2:RunInstances", "autoscaling:SetDesiredCapacity", "autoscaling:UpdateAutoScalingGroup", "lambda:PublishVersion"]
      Resource = "*"
    }]
  })
}

resource "aws_iam_role" "brake" {
  count = local.is_braked ? 1 : 0

  name = "${var.name}-brake"
  tags = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "budgets.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "brake" {
  count = local.is_braked ? 1 : 0

  name = "brake"
  role = aws_iam_role.brake[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "Attach"
      Effect   = "Allow"
      Action   = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
      Resource = [for role in sort(var.brake_roles) : "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/${role}"]
      Condition = {
        ArnEquals = { "iam:PolicyARN" = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:policy/${var.name}-brake" }
      }
    }]
  })
}

data "aws_caller_identity" "current" {}

resource "aws_budgets_budget_action" "brake" {
  count = local.is_braked ? 1 : 0

  budget_name        = aws_budgets_budget.this.name
  action_type        = "APPLY_IAM_POLICY"
  approval_model     = "AUTOMATIC"
  notification_type  = "ACTUAL"
  execution_role_arn = aws_iam_role.brake[0].arn
  tags               = local.tags

  action_threshold {
    action_threshold_type  = "PERCENTAGE"
    action_threshold_value = 100
  }

  definition {
    iam_action_definition {
      policy_arn = aws_iam_policy.brake[0].arn
      roles      = sort(var.brake_roles)
    }
  }

  dynamic "subscriber" {
    for_each = var.receivers

    content {
      address           = subscriber.value
      subscription_type = "EMAIL"
    }
  }
}

resource "aws_ce_anomaly_monitor" "this" {
  count = var.anomaly_monitor_arn == null ? 1 : 0

  name         = var.name
  monitor_type = "CUSTOM"
  tags         = local.tags

  monitor_specification = jsonencode({
    And            = null
    CostCategories = null
    Dimensions     = null
    Not            = null
    Or             = null
    Tags           = { Key = "Project", MatchOptions = null, Values = ["lifeverse"] }
  })
}

resource "aws_ce_anomaly_subscription" "this" {
  name             = var.name
  frequency        = "DAILY"
  monitor_arn_list = [coalesce(var.anomaly_monitor_arn, one(aws_ce_anomaly_monitor.this[*].arn))]
  tags             = local.tags

  threshold_expression {
    dimension {
      key           = "ANOMALY_TOTAL_IMPACT_ABSOLUTE"
      match_options = ["GREATER_THAN_OR_EQUAL"]
      values        = [tostring(var.anomaly_usd)]
    }
  }

  dynamic "subscriber" {
    for_each = var.receivers

    content {
      type    = "EMAIL"
      address = subscriber.value
    }
  }
}

resource "aws_ce_cost_allocation_tag" "this" {
  for_each = var.activate_tags ? toset(["Project", "Env", "Component", "Owner", "CostCentre"]) : toset([])

  tag_key = each.key
  status  = "Active"
}
