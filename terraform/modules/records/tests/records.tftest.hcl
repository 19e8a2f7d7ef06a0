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
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::lifeverse-prod-eu-west-1-records-123456789012" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/lifeverse-prod-eu-west-1-records" }
  }
  mock_resource "aws_kinesis_firehose_delivery_stream" {
    defaults = { arn = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/lifeverse-prod-eu-west-1-records" }
  }
}

mock_provider "aws" {
  alias = "billing"
}

# The example of the README.
variables {
  name           = "lifeverse-prod-eu-west-1"
  log_groups     = { chat = "/aws/lambda/lifeverse-prod-chat" }
  billing_export = true
}

run "the_example_of_the_readme" {
  assert {
    condition     = aws_cloudwatch_log_subscription_filter.this["chat"].log_group_name == "/aws/lambda/lifeverse-prod-chat"
    error_message = "records of functions are handed on"
  }
  assert {
    condition     = aws_s3_bucket.this.bucket == "lifeverse-prod-eu-west-1-records-123456789012" && !aws_s3_bucket.this.force_destroy
    error_message = "kept in this account"
  }
  assert {
    condition     = strcontains(one(one(aws_bcmdataexports_export.bill[0].export).data_query).query_statement, "FOCUS_1_2_AWS")
    error_message = "AWS tells its own bill"
  }
  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[1].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "the bill of this account, and of no other"
  }
}

run "wrong_variables" {
  command = plan
  variables {
    name      = "LifeVerse"
    keep_days = 7
  }
  expect_failures = [var.name, var.keep_days]
}
