locals {
  # Of each record, by its function: every metric of every function is billed by the month.
  record_metrics = {
    duration_us = "Microseconds"
    read_units  = "Count"
    write_units = "Count"
  }
  record_filters = {
    for pair in setproduct(keys(local.permissions), keys(local.record_metrics)) :
    "${pair[0]}-${pair[1]}" => { function = pair[0], metric = pair[1] }
  }
}

# Metrics are made of the records by filters, which cost nothing: the Embedded Metric Format would
# be 250 bytes of logs for each invocation. A record leaves out what is 0, so nothing is counted
# then, and sums are right.
resource "aws_cloudwatch_log_metric_filter" "record" {
  for_each = local.record_filters

  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.function[each.value.function].name
  pattern        = "{ $.kind = \"invocation\" }"

  metric_transformation {
    namespace  = "LifeVerse"
    name       = each.value.metric
    value      = "$.${each.value.metric}"
    unit       = local.record_metrics[each.value.metric]
    dimensions = { function = "$.function" }
  }
}
