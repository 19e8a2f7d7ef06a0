mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:lifeverse-prod-eu-west-1-alarms" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/prometheus/lifeverse" }
  }
  mock_resource "aws_prometheus_workspace" {
    defaults = {
      arn                 = "arn:aws:aps:eu-west-1:123456789012:workspace/ws-1"
      prometheus_endpoint = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/"
    }
  }
}

# The example of the README.
variables {
  name                = "lifeverse-prod-eu-west-1"
  receivers           = ["voice@example.com", "https://pager.example.com/sns"]
  edge                = { api_id = "abc", functions = { chat = { name = "lifeverse-prod-chat" } } }
  table_name          = "lifeverse-prod"
  replica_regions     = ["us-east-1"]
  groups              = { blue = "lifeverse-prod-eu-west-1-blue", green = "lifeverse-prod-eu-west-1-green" }
  account_concurrency = 1000
  workspace           = true
}

run "the_example_of_the_readme" {
  assert {
    condition     = length(output.alarms) == 10 && alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([aws_sns_topic.alarms.arn]) && alarm.treat_missing_data == "notBreaching"])
    error_message = "every alarm tells somebody, and says what silence means"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["function-errors-chat"].dimensions == tomap({ FunctionName = "lifeverse-prod-chat", Resource = "lifeverse-prod-chat:live" })
    error_message = "of what players reach"
  }
  assert {
    condition     = toset([for query in aws_cloudwatch_metric_alarm.edge_errors.metric_query : one(query.metric).metric_name if query.id != "percent"]) == toset(["5xx", "Count"])
    error_message = "by the names that HTTP APIs have"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["lambda-concurrency"].threshold == 800
    error_message = "80 % of the account's"
  }
  assert {
    condition     = toset([for one in aws_sns_topic_subscription.receivers : one.protocol]) == toset(["email", "https"])
    error_message = "both are told"
  }
  assert {
    condition     = output.remote_write.url == "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"
    error_message = "relays write there"
  }
}

run "wrong_variables" {
  command = plan
  variables {
    name                = "LifeVerse"
    receivers           = []
    account_concurrency = 5
    thresholds          = { edge_errors_percent = 100 }
    log_retention_days  = 31
  }
  expect_failures = [var.name, var.receivers, var.account_concurrency, var.thresholds, var.log_retention_days]
}
