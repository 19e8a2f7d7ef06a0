resource "aws_apigatewayv2_api" "this" {
  name                         = var.name
  description                  = "LifeVerse Voice: the edge"
  protocol_type                = "HTTP"
  disable_execute_api_endpoint = var.domain != null
  tags                         = local.tags

  lifecycle {
    precondition {
      condition     = length(local.routes) <= local.routes_max
      error_message = "functions/wire/openapi.json makes ${length(local.routes)} routes; an API takes ${local.routes_max}. Have the quota raised, or serve rare routes by {proxy+}."
    }
  }
}

resource "aws_apigatewayv2_integration" "this" {
  for_each = local.permissions

  api_id                 = aws_apigatewayv2_api.this.id
  description            = each.key
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_alias.live[each.key].invoke_arn
  payload_format_version = "2.0"
  # Longer than Lambda lets it run, so that the reason is in Lambda's log too.
  timeout_milliseconds = min((each.value.timeout_s + 1) * 1000, local.integration_ms_max)

  lifecycle {
    precondition {
      condition     = each.value.timeout_s * 1000 < local.integration_ms_max
      error_message = "functions/permissions.json gives ${each.key} ${each.value.timeout_s} s; the gateway ends a request after ${local.integration_ms_max / 1000} s."
    }
  }
}

resource "aws_apigatewayv2_route" "this" {
  #checkov:skip=CKV_AWS_309:functions judge tokens themselves, on every host alike: decision 3
  for_each = local.routes

  api_id    = aws_apigatewayv2_api.this.id
  route_key = each.key
  target    = "integrations/${aws_apigatewayv2_integration.this[each.value].id}"
}

resource "aws_cloudwatch_log_group" "gateway" {
  #checkov:skip=CKV_AWS_158:lines hold neither ids nor texts nor keys; CloudWatch encrypts them with its own key
  #checkov:skip=CKV_AWS_338:they are for looking into faults; what is billed is in the functions' records
  name              = "/aws/http-api/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_apigatewayv2_stage" "this" {
  api_id = aws_apigatewayv2_api.this.id
  # Any other name would stand in front of every path.
  name        = "$default"
  auto_deploy = true
  tags        = local.tags

  default_route_settings {
    throttling_rate_limit  = var.throttling.rate_limit
    throttling_burst_limit = var.throttling.burst_limit
    # CloudWatch would bill every route.
    detailed_metrics_enabled = false
  }

  dynamic "route_settings" {
    for_each = var.route_throttling

    content {
      route_key                = route_settings.key
      throttling_rate_limit    = route_settings.value.rate_limit
      throttling_burst_limit   = route_settings.value.burst_limit
      detailed_metrics_enabled = false
    }
  }

  # The route and not the path, which has the names of rooms and players; no address, no body.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.gateway.arn
    format = jsonencode({
      request            = "$context.requestId"
      time               = "$context.requestTimeEpoch"
      route              = "$context.routeKey"
      status             = "$context.status"
      bytes              = "$context.responseLength"
      latency_ms         = "$context.responseLatency"
      function_ms        = "$context.integrationLatency"
      function_status    = "$context.integrationStatus"
      error              = "$context.error.messageString"
      integration_error  = "$context.integrationErrorMessage"
      function_requestid = "$context.integration.requestId"
    })
  }

  # Settings of a route are refused until it is there.
  depends_on = [aws_apigatewayv2_route.this]
}

# The gateway calls the alias, so the alias is what it needs permission for.
resource "aws_lambda_permission" "gateway" {
  for_each = local.permissions

  statement_id  = "gateway"
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  function_name = aws_lambda_function.this[each.key].function_name
  qualifier     = aws_lambda_alias.live[each.key].name
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*/*"
}

resource "aws_apigatewayv2_domain_name" "this" {
  for_each = toset(local.domains)

  domain_name = each.key
  tags        = local.tags

  domain_name_configuration {
    certificate_arn = var.domain.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "this" {
  for_each = toset(local.domains)

  api_id      = aws_apigatewayv2_api.this.id
  domain_name = aws_apigatewayv2_domain_name.this[each.key].id
  stage       = aws_apigatewayv2_stage.this.id
}
