output "regional_name" {
  description = "Name of the edge in this region alone: regional_name of the edge's domain."
  value       = local.regional_name
}

output "certificate_arn" {
  description = "The certificate of both names, once it is proved."
  value       = aws_acm_certificate_validation.this.certificate_arn
}

output "health_check_id" {
  description = "The check of this region: the dimension HealthCheckId of its metric (in us-east-1)."
  value       = aws_route53_health_check.this.id
}
