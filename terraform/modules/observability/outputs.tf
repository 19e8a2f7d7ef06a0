output "topic_arn" {
  description = "Where alarms are told."
  value       = aws_sns_topic.alarms.arn
}

output "alarms" {
  description = "Name of each alarm."
  value       = sort(concat([aws_cloudwatch_metric_alarm.edge_errors.alarm_name], [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name]))
}

output "remote_write" {
  description = "Where relays send metrics: for remote_write of the relays module. Nothing without a workspace."
  value = var.workspace ? {
    url           = "${aws_prometheus_workspace.this[0].prometheus_endpoint}api/v1/remote_write"
    workspace_arn = aws_prometheus_workspace.this[0].arn
  } : null
}
