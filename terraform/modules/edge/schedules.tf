resource "aws_cloudwatch_event_rule" "this" {
  for_each = var.schedules

  name                = "${var.name}-${each.key}"
  description         = "POST ${each.value.path}"
  schedule_expression = each.value.expression
  tags                = local.tags
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = var.schedules

  rule = aws_cloudwatch_event_rule.this[each.key].name
  arn  = aws_lambda_alias.live[each.value.function].arn
  # The function makes a request of it, with an operator's token that it signs for itself.
  input = jsonencode({ schedule = each.value.path })
}

resource "aws_lambda_permission" "schedule" {
  for_each = var.schedules

  statement_id  = "schedule-${each.key}"
  action        = "lambda:InvokeFunction"
  principal     = "events.amazonaws.com"
  function_name = aws_lambda_function.this[each.value.function].function_name
  qualifier     = aws_lambda_alias.live[each.value.function].name
  source_arn    = aws_cloudwatch_event_rule.this[each.key].arn
}
