mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_ce_anomaly_monitor" {
    defaults = { arn = "arn:aws:ce::123456789012:anomalymonitor/1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/lifeverse-dev-brake" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/lifeverse-dev-brake" }
  }
}

# The example of the README.
variables {
  name        = "lifeverse-prod"
  monthly_usd = 2000
  receivers   = ["voice@example.com"]
}

run "the_example_of_the_readme" {
  assert {
    condition     = length(aws_budgets_budget.this.notification) == 4 && length(aws_budgets_budget_action.brake) == 0
    error_message = "told four times, and nothing is stopped"
  }
  assert {
    condition     = aws_ce_anomaly_monitor.this[0].monitor_type == "CUSTOM" && length(aws_ce_cost_allocation_tag.this) == 0
    error_message = "a monitor that every account may have; tags later"
  }
}

run "dev_has_a_brake" {
  variables {
    name                = "lifeverse-dev"
    brake_roles         = ["lifeverse-dev-ci-apply"]
    anomaly_monitor_arn = "arn:aws:ce::123456789012:anomalymonitor/2"
    activate_tags       = true
  }
  assert {
    condition     = jsondecode(aws_iam_policy.brake[0].policy).Statement[0].Effect == "Deny" && one(one(aws_budgets_budget_action.brake[0].definition).iam_action_definition).roles == toset(["lifeverse-dev-ci-apply"])
    error_message = "these roles start nothing more"
  }
  assert {
    condition     = length(aws_ce_anomaly_monitor.this) == 0 && output.anomaly_monitor_arn == "arn:aws:ce::123456789012:anomalymonitor/2"
    error_message = "the monitor that is there is used"
  }
  assert {
    condition     = length(aws_ce_cost_allocation_tag.this) == 5
    error_message = "costs are told apart"
  }
}

run "wrong_variables" {
  command = plan
  variables {
    name                = "LifeVerse"
    monthly_usd         = 0
    receivers           = ["https://pager"]
    brake_roles         = ["arn:aws:iam::123456789012:role/it"]
    anomaly_monitor_arn = "mine"
    anomaly_usd         = 0
  }
  expect_failures = [var.name, var.monthly_usd, var.receivers, var.brake_roles, var.anomaly_monitor_arn, var.anomaly_usd]
}
