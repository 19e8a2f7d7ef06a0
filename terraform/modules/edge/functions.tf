# A group that Lambda makes for itself keeps its lines for ever and comes back when it is destroyed
# under traffic: ours is there first, and no function may make one.
resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158:lines hold neither ids nor texts nor keys; CloudWatch encrypts them with its own key
  #checkov:skip=CKV_AWS_338:records are exported for billing; keeping lines for a year costs and answers nothing
  for_each = local.permissions

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_iam_role" "function" {
  for_each = local.permissions

  name = "${var.name}-${each.key}"
  tags = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = local.permissions

  name = "permissions.json"
  role = aws_iam_role.function[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "Table"
          Effect   = "Allow"
          Action   = [for action in each.value.table : "dynamodb:${action}"]
          Resource = local.table_arns
          # Every partition that a request touches is one of these. "For all values" holds for no
          # value at all too, so that there are some is asked for besides.
          Condition = {
            "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = each.value.partitions }
            Null                      = { "dynamodb:LeadingKeys" = "false" }
          }
        },
        {
          Sid      = "Secrets"
          Effect   = "Allow"
          Action   = ["ssm:GetParameters"]
          Resource = local.parameter_arns[each.key]
        },
        {
          Sid      = "Logs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/lambda/${var.name}-${each.key}:*"]
        },
      ],
      var.settings.usage_objects == null || length(try(each.value.objects, [])) == 0 ? [] : [{
        Sid      = "Objects"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = [for prefix in try(each.value.objects, []) : "arn:${local.partition}:s3:::${coalesce(var.settings.usage_objects, "-")}/${prefix}*"]
      }],
      length(var.kms_key_arns) == 0 ? [] : [{
        Sid      = "Keys"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = var.kms_key_arns
      }],
    )
  })
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_117:in a VPC a function reaches neither relays nor AWS without paid gateways; it has no address to protect
  #checkov:skip=CKV_AWS_116:it answers requests; a schedule that fails is made again a minute later
  #checkov:skip=CKV_AWS_272:who may change code is the delivery role's matter; a signing profile comes with the delivery module
  #checkov:skip=CKV_AWS_173:settings are no secrets; those are in Parameter Store
  #checkov:skip=CKV_AWS_50:each invocation leaves a record of its own with what a trace would say
  #checkov:skip=CKV_AWS_115:new accounts allow no reservation: the variable reserved_concurrency
  for_each = local.permissions

  function_name                  = "${var.name}-${each.key}"
  description                    = "LifeVerse Voice: ${each.key}"
  role                           = aws_iam_role.function[each.key].arn
  architectures                  = ["arm64"]
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  filename                       = var.packages[each.key]
  source_code_hash               = filebase64sha256(var.packages[each.key])
  memory_size                    = each.value.memory_mb
  timeout                        = each.value.timeout_s
  reserved_concurrent_executions = try(var.reserved_concurrency[each.key], null)
  # Versions are what deployments move between.
  publish = true
  tags    = local.tags

  environment {
    variables = local.environments[each.key]
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.function[each.key].name
    # Without it each call leaves START, END and REPORT, which cost more than the call.
    system_log_level      = "WARN"
    application_log_level = "INFO"
  }

  lifecycle {
    precondition {
      condition     = alltrue([for setting in each.value.settings : contains(local.known_settings, setting)])
      error_message = "functions/permissions.json lists a setting of ${each.key} that this module does not know: add it to settings in locals.tf and to the variable."
    }
    precondition {
      condition     = length(jsonencode(local.environments[each.key])) <= local.environment_bytes_max
      error_message = "The environment of ${each.key} is over ${local.environment_bytes_max} bytes, which Lambda refuses: shorten policy, relay_control_hosts or enrolment_aws."
    }
  }

  # Its role may write before its first line is written.
  depends_on = [aws_iam_role_policy.function]
}

# What is called: a deployment moves it to a new version, a part of the traffic first, so Terraform
# leaves it where it is.
resource "aws_lambda_alias" "live" {
  for_each = local.permissions

  name             = "live"
  description      = "The version that players reach"
  function_name    = aws_lambda_function.this[each.key].function_name
  function_version = aws_lambda_function.this[each.key].version

  lifecycle {
    ignore_changes = [function_version, routing_config]
  }
}
