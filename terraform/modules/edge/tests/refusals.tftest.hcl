# Each wrong variable is refused before anything is changed, by a sentence that says what to do.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { id = "eu-west-1", name = "eu-west-1" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:lifeverse-test" }
  }
}

variables {
  name            = "lifeverse-test"
  table_name      = "lifeverse-test"
  parameters_path = "/lifeverse/test"
  packages = {
    chat        = "versions.tf"
    fleet       = "versions.tf"
    matchmaking = "versions.tf"
    safety      = "versions.tf"
    signalling  = "versions.tf"
  }
  settings   = { region = "eu" }
  throttling = { rate_limit = 100, burst_limit = 50 }
}

run "several_at_once" {
  command = plan
  variables {
    name               = "Lifeverse"
    table_name         = "arn:aws:dynamodb:eu-west-1:123456789012:table/lifeverse"
    parameters_path    = "lifeverse/"
    throttling         = { rate_limit = 0, burst_limit = 50 }
    log_retention_days = 31
    kms_key_arns       = ["*"]
    domain             = { name = "https://voice.example.com", certificate_arn = "mine" }
  }
  expect_failures = [
    var.name, var.table_name, var.parameters_path, var.throttling, var.log_retention_days, var.kms_key_arns, var.domain,
  ]
}

run "a_function_without_a_package" {
  command = plan
  variables {
    packages = { chat = "versions.tf" }
  }
  expect_failures = [var.packages]
}

run "a_package_that_is_not_there" {
  command = plan
  variables {
    packages = { chat = "no.zip", fleet = "versions.tf", matchmaking = "versions.tf", safety = "versions.tf", signalling = "versions.tf" }
  }
  expect_failures = [var.packages]
}

run "settings_that_are_none" {
  command = plan
  variables {
    settings = {
      region              = "EU west"
      policy              = "[]"
      relay_control_hosts = ["relays.example.com"]
      edge_url            = "http://voice.example.com/"
      enrolment_aws       = { sts_regions = ["ireland"], allow = [{ account = "1", role = "*", region = "eu", capacity = 0 }] }
    }
  }
  expect_failures = [var.settings]
}

run "a_limit_for_a_route_that_is_none" {
  command = plan
  variables {
    route_throttling = { "POST /v1/nowhere" = { rate_limit = 1, burst_limit = 1 } }
  }
  expect_failures = [var.route_throttling]
}

run "a_route_that_would_refuse_everything" {
  command = plan
  variables {
    route_throttling = { "GET /v1/relays" = { rate_limit = 1, burst_limit = 0 } }
  }
  expect_failures = [var.route_throttling]
}

run "more_reserved_than_a_new_account_has" {
  command = plan
  variables {
    reserved_concurrency = { chat = 50 }
    account_concurrency  = 10
  }
  expect_failures = [var.reserved_concurrency]
}

run "a_schedule_of_nothing" {
  command = plan
  variables {
    schedules = { duel = { function = "matches", path = "tick", expression = "often" } }
  }
  expect_failures = [var.schedules]
}

run "home_regions_that_disagree" {
  command = plan
  variables {
    home_regions = { eu-west-1 = ["eu"], us-east-1 = ["eu"] }
  }
  expect_failures = [var.home_regions]
}

run "one_home_region" {
  command = plan
  variables {
    home_regions = { eu-west-1 = ["eu"] }
  }
  expect_failures = [var.home_regions]
}

run "a_grants_file_that_is_none" {
  command = plan
  variables {
    grants_file = "tests/none.json"
  }
  expect_failures = [var.grants_file]
}
