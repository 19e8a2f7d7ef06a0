locals {
  tags = merge(var.tags, { Component = "observability" })
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:CloudWatch cannot use aws/sns, and an alarm says nothing that is secret
  name = "${var.name}-alarms"
  tags = local.tags
}

resource "aws_sns_topic_subscription" "receivers" {
  for_each = var.receivers

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = startswith(each.key, "https://") ? "https" : "email"
  endpoint  = each.key
}

# Names and dimensions are those of the namespaces: with others an alarm is always well.
locals {
  alarms = merge(
    {
      # HTTP APIs say 4xx and 5xx by ApiId; 5XXError by ApiName is what REST APIs say.
      edge-latency = {
        namespace = "AWS/ApiGateway", metric = "Latency", dimensions = { ApiId = var.edge.api_id }, statistic = "p99"
        above     = var.thresholds.edge_latency_p99_ms, periods = 5, missing = "notBreaching"
        why       = "Requests take long. Look at the functions' durations, then at the table's throttling."
      }
      lambda-concurrency = {
        namespace = "AWS/Lambda", metric = "ConcurrentExecutions", dimensions = {}, statistic = "Maximum"
        above     = floor(var.account_concurrency * 0.8), periods = 3, missing = "notBreaching"
        why       = "80 % of the account's executions at once. Have the quota raised; above it requests end as 429 or 503."
      }
      table-throttled-writes = {
        namespace = "AWS/DynamoDB", metric = "WriteThrottleEvents", dimensions = { TableName = var.table_name }, statistic = "Sum"
        above     = 0, periods = 3, missing = "notBreaching"
        why       = "Writes are refused: a hot partition, or growth to more than twice the former peak within 30 minutes."
      }
      table-throttled-reads = {
        namespace = "AWS/DynamoDB", metric = "ReadThrottleEvents", dimensions = { TableName = var.table_name }, statistic = "Sum"
        above     = 0, periods = 3, missing = "notBreaching"
        why       = "Reads are refused: a hot partition, or growth to more than twice the former peak within 30 minutes."
      }
    },
    {
      for name, function in var.edge.functions : "function-errors-${name}" => {
        # Of what players reach: a version that is tried out has its own dimension.
        namespace = "AWS/Lambda", metric = "Errors", dimensions = { FunctionName = function.name, Resource = "${function.name}:live" }
        statistic = "Sum", above = 0, periods = 3, missing = "notBreaching"
        why       = "The function ends in errors (not in refusals): look at its log group, then move live back."
      }
    },
    {
      for name, function in var.edge.functions : "function-throttled-${name}" => {
        namespace = "AWS/Lambda", metric = "Throttles", dimensions = { FunctionName = function.name, Resource = "${function.name}:live" }
        statistic = "Sum", above = 0, periods = 1, missing = "notBreaching"
        why       = "Requests are refused because too many are served at once: raise the quota or reserved_concurrency."
      }
    },
    {
      for region in var.replica_regions : "replica-${region}" => {
        namespace = "AWS/DynamoDB", metric = "ReplicationLatency", dimensions = { TableName = var.table_name, ReceivingRegion = region }
        statistic = "Maximum", above = var.thresholds.replica_lag_ms, periods = 5, missing = "notBreaching"
        why       = "The copy is behind by this many ms, which is what an evacuation would lose."
      }
    },
    {
      for colour, group in var.groups : "relays-terminating-${colour}" => {
        namespace = "AWS/AutoScaling", metric = "GroupTerminatingInstances", dimensions = { AutoScalingGroupName = group }
        # A drain takes 75 s, and a hook that nobody completes 300 s.
        statistic = "Minimum", above = 0, periods = 6, missing = "notBreaching"
        why       = "A machine has been ending for six minutes: its drain was not completed. Look at lifeverse-drain on it."
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.why
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 60
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = local.tags
}

# A share, and not where there are few requests: one of three is no outage.
resource "aws_cloudwatch_metric_alarm" "edge_errors" {
  alarm_name          = "${var.name}-edge-errors"
  alarm_description   = "The edge answers 5xx. Look at integration_error in the gateway's log; move live back if a version is new; else evacuate the region."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.edge_errors_percent
  evaluation_periods  = 3
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = local.tags

  metric_query {
    id          = "percent"
    label       = "5xx, percent of requests"
    expression  = "IF(requests >= ${var.thresholds.edge_requests_min}, 100 * FILL(errors, 0) / requests, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "5xx", requests = "Count" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApiGateway"
        metric_name = metric_query.value
        dimensions  = { ApiId = var.edge.api_id }
        stat        = "Sum"
        period      = 60
      }
    }
  }
}

resource "aws_cloudwatch_log_group" "workspace" {
  #checkov:skip=CKV_AWS_158:lines hold names of metrics; CloudWatch encrypts them with its own key
  #checkov:skip=CKV_AWS_338:they are for looking into faults of alert rules
  count = var.workspace ? 1 : 0

  name              = "/aws/prometheus/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_prometheus_workspace" "this" {
  count = var.workspace ? 1 : 0

  alias = var.name
  tags  = local.tags

  logging_configuration {
    log_group_arn = "${aws_cloudwatch_log_group.workspace[0].arn}:*"
  }
}
