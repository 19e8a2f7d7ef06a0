output "budget_name" {
  description = "Of the monthly budget."
  value       = aws_budgets_budget.this.name
}

output "anomaly_monitor_arn" {
  description = "The monitor that is subscribed to."
  value       = one(aws_ce_anomaly_subscription.this.monitor_arn_list)
}
