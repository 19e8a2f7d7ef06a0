mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { id = "eu-west-1", name = "eu-west-1" }
  }
  mock_resource "aws_vpc" {
    defaults = { id = "vpc-0123456789abcdef0", ipv6_cidr_block = "2001:db8:0:100::/56" }
  }
}

# The example of the README.
variables {
  name  = "lifeverse-prod-eu-west-1"
  cidr  = "10.20.0.0/16"
  zones = ["a", "b", "c"]
}

# `terraform test` destroys what it made, so the guard of a region is only planned.
run "kept_unless_said_otherwise" {
  command = plan
  assert {
    condition     = length(terraform_data.region) == 1
    error_message = "a region's state is not taken for another's"
  }
}

run "the_example_of_the_readme" {
  variables {
    disposable = true
  }
  assert {
    condition = alltrue([
      for family in ["v4", "v6"] : alltrue([
        for name, port in { media = 7410, tcp = 443, control = 7411 } :
        aws_vpc_security_group_ingress_rule.open["${name}-${family}"].from_port == port
      ])
    ])
    error_message = "voice, its TCP and control are open in both families"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.open) == 6 && aws_vpc_security_group_ingress_rule.open["media-v4"].to_port == 7417
    error_message = "and nothing else is: 8 ports for 8 shards"
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_egress_rule.open : rule.ip_protocol == "-1"]) && length(aws_vpc_security_group_egress_rule.open) == 2
    error_message = "everything goes out, or flows are tracked"
  }
  # A function is outside the network, so its way is the public one: the port that it is told is open.
  assert {
    condition = output.relay_control_hosts == [
      "http://*:${aws_vpc_security_group_ingress_rule.open["control-v4"].from_port}"
    ] && aws_vpc_security_group_ingress_rule.open["control-v4"].cidr_ipv4 == "0.0.0.0/0"
    error_message = "functions reach the port that they are told"
  }
  assert {
    condition     = [for zone in ["a", "b", "c"] : aws_subnet.public[zone].cidr_block] == ["10.20.0.0/20", "10.20.16.0/20", "10.20.32.0/20"]
    error_message = "a subnet for each zone"
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.assign_ipv6_address_on_creation && subnet.map_public_ip_on_launch])
    error_message = "relays have both addresses"
  }
  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "what names no group reaches nothing"
  }
}

run "wrong_variables" {
  command = plan
  variables {
    name        = "LifeVerse"
    cidr        = "192.168.0.0/24"
    zones       = ["eu-west-1a"]
    media_ports = 0
  }
  expect_failures = [var.name, var.cidr, var.zones, var.media_ports]
}
