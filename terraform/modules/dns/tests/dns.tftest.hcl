mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { id = "eu-west-1", name = "eu-west-1" }
  }
  mock_resource "aws_acm_certificate" {
    defaults = {
      arn = "arn:aws:acm:eu-west-1:123456789012:certificate/example"
      domain_validation_options = [
        { domain_name = "voice.example.com", resource_record_name = "_a.voice.example.com", resource_record_type = "CNAME", resource_record_value = "_b.acm" },
        { domain_name = "eu-west-1.voice.example.com", resource_record_name = "_c.voice.example.com", resource_record_type = "CNAME", resource_record_value = "_d.acm" },
      ]
    }
  }
}

# The example of the README.
variables {
  zone_id = "Z0123456789ABCDEFGHIJ"
  name    = "voice.example.com"
  targets = {
    "voice.example.com"           = { target = "d-1.execute-api.eu-west-1.amazonaws.com", zone = "ZLY8HYME6SFDD" }
    "eu-west-1.voice.example.com" = { target = "d-2.execute-api.eu-west-1.amazonaws.com", zone = "ZLY8HYME6SFDD" }
  }
  health_path = "/v1/health"
}

run "the_example_of_the_readme" {
  assert {
    condition     = aws_route53_health_check.this.fqdn == "eu-west-1.voice.example.com" && contains(keys(var.targets), aws_route53_health_check.this.fqdn)
    error_message = "a region is asked at its own name, which its gateway knows"
  }
  assert {
    condition     = aws_route53_health_check.this.type == "HTTPS" && aws_route53_health_check.this.enable_sni && length(aws_route53_health_check.this.regions) == 3
    error_message = "by TLS with the name, from three places"
  }
  assert {
    condition     = one(aws_route53_record.shared.latency_routing_policy).region == "eu-west-1" && aws_route53_record.shared.health_check_id == aws_route53_health_check.this.id
    error_message = "the nearest that is well"
  }
  assert {
    condition     = toset(keys(aws_route53_record.proof)) == toset(["voice.example.com", "eu-west-1.voice.example.com"])
    error_message = "both names are proved"
  }
}

run "without_a_path" {
  command = plan
  variables {
    health_path = null
  }
  assert {
    condition     = aws_route53_health_check.this.type == "TCP"
    error_message = "then only the connection is tried"
  }
}

run "wrong_variables" {
  command = plan
  variables {
    zone_id     = "example.com"
    name        = "https://voice.example.com"
    health_path = "health?"
  }
  expect_failures = [var.zone_id, var.name, var.health_path]
}
