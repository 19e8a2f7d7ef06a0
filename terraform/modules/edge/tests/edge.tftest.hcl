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
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/lifeverse-test" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:lifeverse-test" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/lifeverse-test" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { version = "7" }
  }
  mock_resource "aws_lambda_alias" {
    defaults = {
      arn        = "arn:aws:lambda:eu-west-1:123456789012:function:lifeverse-test:live"
      invoke_arn = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:lifeverse-test:live/invocations"
    }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = {
      api_endpoint  = "https://abc.execute-api.eu-west-1.amazonaws.com"
      execution_arn = "arn:aws:execute-api:eu-west-1:123456789012:abc"
    }
  }
}

variables {
  name            = "lifeverse-test"
  table_name      = "lifeverse-test"
  parameters_path = "/lifeverse/test"
  # Any file does where nothing is uploaded.
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

run "functions_as_permissions_json_says" {
  assert {
    condition = alltrue([
      for name, needs in jsondecode(file("../../../functions/permissions.json")) :
      aws_lambda_function.this[name].memory_size == needs.memory_mb && aws_lambda_function.this[name].timeout == needs.timeout_s
    ])
    error_message = "memory and time are those of permissions.json"
  }
  assert {
    condition = alltrue([
      for name, needs in jsondecode(file("../../../functions/permissions.json")) :
      jsondecode(aws_iam_role_policy.function[name].policy).Statement[0].Action == [for action in needs.table : "dynamodb:${action}"]
    ])
    error_message = "the actions are those of permissions.json"
  }
  assert {
    condition = alltrue([
      for name, needs in jsondecode(file("../../../functions/permissions.json")) :
      jsondecode(aws_iam_role_policy.function[name].policy).Statement[0].Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] == needs.partitions
    ])
    error_message = "the partitions are those of permissions.json"
  }
  assert {
    condition = alltrue([
      for filter in aws_cloudwatch_log_metric_filter.record :
      filter.metric_transformation[0].value == "$.${filter.metric_transformation[0].name}" && filter.metric_transformation[0].dimensions == tomap({ function = "$.function" })
    ]) && length(aws_cloudwatch_log_metric_filter.record) == 3 * length(aws_lambda_function.this)
    error_message = "each function's records make three metrics, whose only dimension is the function"
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.architectures == tolist(["arm64"]) && function.publish])
    error_message = "arm64, with versions"
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.reserved_concurrent_executions == -1 || function.reserved_concurrent_executions == null])
    error_message = "nothing is reserved unless it is asked for"
  }
  assert {
    condition = jsondecode(aws_iam_role_policy.function["chat"].policy).Statement[1].Resource == [
      "arn:aws:ssm:eu-west-1:123456789012:parameter/lifeverse/test/control_secret",
      "arn:aws:ssm:eu-west-1:123456789012:parameter/lifeverse/test/edge_token_public",
      "arn:aws:ssm:eu-west-1:123456789012:parameter/lifeverse/test/player_secret",
      "arn:aws:ssm:eu-west-1:123456789012:parameter/lifeverse/test/tail_secret",
      "arn:aws:ssm:eu-west-1:123456789012:parameter/lifeverse/test/token_keys",
    ]
    error_message = "a function reads the secrets that it lists, and no other"
  }
}

run "routes_as_the_document_says" {
  assert {
    condition = toset([for key in keys(aws_apigatewayv2_route.this) : key if !startswith(key, "OPTIONS ")]) == toset(flatten([
      for path, members in jsondecode(file("../../../functions/wire/openapi.json")).paths :
      [for method in keys(members) : "${upper(method)} ${path}" if method != "parameters"]
    ]))
    error_message = "a route for each operation and no other"
  }
  assert {
    condition     = contains(keys(aws_apigatewayv2_route.this), "OPTIONS /v1/rooms/{room}/sessions")
    error_message = "functions answer preflights"
  }
  assert {
    condition     = output.routes["POST /v1/rooms/{room}/sessions"] == "signalling" && output.routes["POST /v1/relays/enrolment"] == "fleet" && output.routes["OPTIONS /v1/chat/blocks/{player}"] == "safety"
    error_message = "each route leads to its function"
  }
  assert {
    condition     = alltrue([for key in keys(aws_apigatewayv2_route.this) : !strcontains(key, "$default") && !strcontains(key, "ANY ")])
    error_message = "what is not in the document is refused by the gateway"
  }
}

run "called_by_the_alias" {
  assert {
    condition = alltrue([
      for name, permission in aws_lambda_permission.gateway :
      permission.qualifier == "live" && endswith(permission.source_arn, "/*/*") && aws_apigatewayv2_integration.this[name].integration_uri == aws_lambda_alias.live[name].invoke_arn
    ])
    error_message = "the permission is the alias's, and the alias is what is called"
  }
  assert {
    condition     = alltrue([for name, integration in aws_apigatewayv2_integration.this : integration.timeout_milliseconds > aws_lambda_function.this[name].timeout * 1000])
    error_message = "Lambda ends a request before the gateway does"
  }
}

run "throttled_and_logged" {
  variables {
    route_throttling = { "GET /v1/relays" = { rate_limit = 5, burst_limit = 5 } }
  }

  assert {
    condition     = one(aws_apigatewayv2_stage.this.default_route_settings).throttling_rate_limit == 100
    error_message = "the limit is set"
  }
  assert {
    condition     = [for settings in aws_apigatewayv2_stage.this.route_settings : settings.throttling_burst_limit] == [5]
    error_message = "so is that of a route"
  }
  assert {
    condition = alltrue([
      for word in ["path", "sourceIp", "body", "authorizer", "identity"] :
      !strcontains(one(aws_apigatewayv2_stage.this.access_log_settings).format, word)
    ])
    error_message = "no path, address, body or identity in the log"
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.function : group.retention_in_days == 30]) && aws_cloudwatch_log_group.gateway.retention_in_days == 30
    error_message = "logs end"
  }
  assert {
    condition     = alltrue([for policy in aws_iam_role_policy.function : !strcontains(policy.policy, "CreateLogGroup")])
    error_message = "no function makes a log group"
  }
}

run "told_where_it_is" {
  assert {
    condition     = one(aws_lambda_function.this["fleet"].environment).variables.LIFEVERSE_EDGE_URL == "https://abc.execute-api.eu-west-1.amazonaws.com"
    error_message = "without a domain, the address that AWS gives"
  }
  assert {
    condition     = !contains(keys(one(aws_lambda_function.this["fleet"].environment).variables), "LIFEVERSE_STS_HOSTS")
    error_message = "what is not set is left out"
  }
  assert {
    condition     = !contains(keys(one(aws_lambda_function.this["chat"].environment).variables), "LIFEVERSE_EDGE_URL")
    error_message = "a function is told what it lists, and no more"
  }
  assert {
    condition     = !aws_apigatewayv2_api.this.disable_execute_api_endpoint
    error_message = "there is no other address"
  }
}

# The example of the README.
run "the_example_of_the_readme" {
  variables {
    name            = "lifeverse-prod"
    table_name      = "lifeverse-prod"
    parameters_path = "/lifeverse/prod"
    settings = {
      region              = "eu"
      relay_control_hosts = ["http://*.relays.example.com:7412"]
      enrolment_aws = {
        sts_regions = ["eu-west-1"]
        allow       = [{ account = "123456789012", role = "lifeverse-relay", region = "eu", capacity = 4000 }]
      }
    }
    throttling       = { rate_limit = 2000, burst_limit = 1000 }
    route_throttling = { "POST /v1/rooms/{room}/sessions" = { rate_limit = 1000, burst_limit = 500 } }
    domain = {
      name            = "voice.example.com"
      regional_name   = "eu-west-1.voice.example.com"
      certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/example"
    }
    schedules = { duel = { function = "matchmaking", path = "/v1/match/queues/duel/tick" } }
  }

  assert {
    condition     = aws_apigatewayv2_api.this.disable_execute_api_endpoint && length(aws_apigatewayv2_api_mapping.this) == 2
    error_message = "two names, and not the one that AWS gives"
  }
  assert {
    condition = one(aws_lambda_function.this["fleet"].environment).variables == tomap({
      LIFEVERSE_TABLE         = "lifeverse-prod"
      LIFEVERSE_PARAMETERS    = "/lifeverse/prod"
      LIFEVERSE_REGION        = "eu"
      LIFEVERSE_EDGE_URL      = "https://voice.example.com"
      LIFEVERSE_STS_HOSTS     = "https://sts.eu-west-1.amazonaws.com"
      LIFEVERSE_ENROLMENT_AWS = "{\"allow\":[{\"account\":\"123456789012\",\"capacity\":4000,\"region\":\"eu\",\"role\":\"lifeverse-relay\"}],\"sts\":{\"eu-west-1\":\"https://sts.eu-west-1.amazonaws.com\"}}"
    })
    error_message = "fleet is told who may enrol"
  }
  assert {
    condition     = one(aws_lambda_function.this["chat"].environment).variables.LIFEVERSE_RELAY_CONTROL_HOSTS == "http://*.relays.example.com:7412"
    error_message = "chat is told where relays are"
  }
  assert {
    condition     = aws_cloudwatch_event_target.this["duel"].input == "{\"schedule\":\"/v1/match/queues/duel/tick\"}"
    error_message = "a schedule is what the function reads"
  }
  assert {
    condition     = aws_lambda_permission.schedule["duel"].qualifier == "live" && aws_lambda_permission.schedule["duel"].source_arn == aws_cloudwatch_event_rule.this["duel"].arn
    error_message = "that rule may call the alias"
  }
}

run "usage_is_put_by_fleet_alone" {
  variables {
    settings = { region = "eu", usage_objects = "lifeverse-records" }
  }

  assert {
    condition = [
      for name, role in aws_iam_role_policy.function : name if strcontains(role.policy, "arn:aws:s3:::lifeverse-records/usage/*")
    ] == ["fleet"]
    error_message = "fleet puts usage, and nobody else anything"
  }
  assert {
    condition     = one(aws_lambda_function.this["fleet"].environment).variables.LIFEVERSE_USAGE_OBJECTS == "lifeverse-records"
    error_message = "fleet is told where"
  }
}

run "regions_that_share_the_table" {
  variables {
    home_regions = { eu-west-1 = ["eu"], us-east-1 = ["us", "sa"] }
  }

  assert {
    condition = alltrue([
      for name, function in aws_lambda_function.this :
      jsondecode(one(function.environment).variables.LIFEVERSE_HOME_REGIONS) == { here = "eu-west-1", regions = { eu-west-1 = ["eu"], us-east-1 = ["sa", "us"] } }
    ])
    error_message = "every function knows where each item is written"
  }
  assert {
    condition = alltrue([
      for name, policy in aws_iam_role_policy.function :
      toset([for arn in jsondecode(policy.policy).Statement[0].Resource : split(":", arn)[3]]) == toset(["eu-west-1", "us-east-1"])
    ])
    error_message = "and may write there"
  }
}

run "grants_of_two_versions_are_those_of_both" {
  variables {
    grants_file = "tests/grants.json"
  }
  assert {
    condition = (
      contains(jsondecode(aws_iam_role_policy.function["chat"].policy).Statement[0].Action, "dynamodb:PutItem") &&
      length(setsubtract(
        [for action in jsondecode(file("../../../functions/permissions.json")).chat.table : "dynamodb:${action}"],
        jsondecode(aws_iam_role_policy.function["chat"].policy).Statement[0].Action,
      )) == 0 &&
      contains(jsondecode(aws_iam_role_policy.function["chat"].policy).Statement[0].Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"], "chat-before#*") &&
      anytrue([for arn in jsondecode(aws_iam_role_policy.function["chat"].policy).Statement[1].Resource : endswith(arn, "/before")])
    )
    error_message = "chat may do what either version needs"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.function["fleet"].policy).Statement[0].Action == [for action in jsondecode(file("../../../functions/permissions.json")).fleet.table : "dynamodb:${action}"]
    error_message = "a function that the other version does not have keeps its own"
  }
}
