locals {
  tags   = merge(var.tags, { Component = "dns" })
  region = data.aws_region.current.id

  # Of this region alone: both regions share `name`, so a check that asks it would ask the other one.
  regional_name = "${local.region}.${var.name}"
  # Keys that are known before anything is made.
  names = toset([var.name, local.regional_name])
}

data "aws_region" "current" {}

resource "aws_acm_certificate" "this" {
  domain_name               = var.name
  subject_alternative_names = [local.regional_name]
  validation_method         = "DNS"
  tags                      = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "proof" {
  for_each = local.names

  zone_id = var.zone_id
  name    = one([for proof in aws_acm_certificate.this.domain_validation_options : proof.resource_record_name if proof.domain_name == each.key])
  type    = one([for proof in aws_acm_certificate.this.domain_validation_options : proof.resource_record_type if proof.domain_name == each.key])
  records = [one([for proof in aws_acm_certificate.this.domain_validation_options : proof.resource_record_value if proof.domain_name == each.key])]
  ttl     = 300
  # Every region proves the shared name by the same record.
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "this" {
  certificate_arn         = aws_acm_certificate.this.arn
  validation_record_fqdns = [for name in local.names : aws_route53_record.proof[name].fqdn]
}

# Checkers are outside of AWS's control plane: when it fails, they still take a region out.
resource "aws_route53_health_check" "this" {
  fqdn              = local.regional_name
  port              = 443
  type              = var.health_path == null ? "TCP" : "HTTPS"
  resource_path     = var.health_path
  enable_sni        = var.health_path == null ? null : true
  request_interval  = 30
  failure_threshold = 3
  # The fewest that AWS takes: each asks by itself, and each request is paid for.
  regions = ["us-east-1", "eu-west-1", "ap-southeast-1"]
  tags    = merge(local.tags, { Name = local.regional_name })
}

resource "aws_route53_record" "shared" {
  zone_id         = var.zone_id
  name            = var.name
  type            = "A"
  set_identifier  = local.region
  health_check_id = aws_route53_health_check.this.id

  latency_routing_policy {
    region = local.region
  }

  alias {
    name    = var.targets[var.name].target
    zone_id = var.targets[var.name].zone
    # That says whether API Gateway is there, and not whether ours is.
    evaluate_target_health = true
  }
}

resource "aws_route53_record" "regional" {
  zone_id = var.zone_id
  name    = local.regional_name
  type    = "A"

  alias {
    name                   = var.targets[local.regional_name].target
    zone_id                = var.targets[local.regional_name].zone
    evaluate_target_health = false
  }
}
