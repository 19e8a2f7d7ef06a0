output "url" {
  description = "Where players, games and relays reach the edge."
  value       = local.edge_url
}

output "domains" {
  description = "What DNS points each name at: host name and zone of its target."
  value = {
    for name, domain in aws_apigatewayv2_domain_name.this : name => {
      target = one(domain.domain_name_configuration).target_domain_name
      zone   = one(domain.domain_name_configuration).hosted_zone_id
    }
  }
}

output "api_id" {
  description = "Of the HTTP API: the dimension ApiId of its metrics (4xx, 5xx, Count, Latency)."
  value       = aws_apigatewayv2_api.this.id
}

output "functions" {
  description = "Name, newest version and role of each function: what a deployment moves the alias live to."
  value = {
    for name, function in aws_lambda_function.this : name => {
      name    = function.function_name
      version = function.version
      role    = function.role
    }
  }
}

output "routes" {
  description = "Method and path of each route, and the function that serves it."
  value       = local.routes
}

output "log_groups" {
  description = "The log group of each function, which has the records of its invocations."
  value       = { for name, group in aws_cloudwatch_log_group.function : name => group.name }
}
