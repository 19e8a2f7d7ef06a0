locals {
  tags = merge(var.tags, { Component = "network" })

  everybody = { v4 = "0.0.0.0/0", v6 = "::/0" }

  # What relays are reached at. Health (7412) is not among them: it listens on the machine itself.
  open = {
    media   = { protocol = "udp", from = 7410, to = 7410 + var.media_ports - 1, why = "voice" }
    tcp     = { protocol = "tcp", from = 443, to = 443, why = "voice of players without UDP" }
    control = { protocol = "tcp", from = 7411, to = 7411, why = "sealed messages of the edge: decision 20" }
  }
  openings = merge([
    for name, opening in local.open : {
      for family, cidr in local.everybody : "${name}-${family}" => merge(opening, { cidr = cidr, family = family })
    }
  ]...)
}

data "aws_region" "current" {}

# A state is of one region. With another one in its variables everything in it would be replaced, and
# `prevent_destroy` takes no variable: this one is replaced first, and may not be.
resource "terraform_data" "region" {
  count = var.disposable ? 0 : 1

  triggers_replace = data.aws_region.current.id

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:flow logs would record the address of every player, and cost more than the relays; what relays drop is in their metrics
  cidr_block                       = var.cidr
  assign_generated_ipv6_cidr_block = true
  enable_dns_support               = true
  enable_dns_hostnames             = true
  tags                             = merge(local.tags, { Name = var.name })
}

# Whatever names no group gets this one, which lets nothing in or out.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.tags, { Name = "${var.name}-default" })
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.tags, { Name = var.name })
}

# Public alone: a relay has addresses of its own, and a NAT gateway would be paid by the gigabyte.
resource "aws_subnet" "public" {
  #checkov:skip=CKV_AWS_130:relays are reached by players, so each has a public address
  for_each = var.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = "${data.aws_region.current.id}${each.key}"
  # Zone a has the first, whichever zones there are: a further one moves no other.
  cidr_block                      = cidrsubnet(var.cidr, 4, index(["a", "b", "c", "d", "e", "f"], each.key))
  ipv6_cidr_block                 = cidrsubnet(aws_vpc.this.ipv6_cidr_block, 8, index(["a", "b", "c", "d", "e", "f"], each.key))
  map_public_ip_on_launch         = true
  assign_ipv6_address_on_creation = true
  tags                            = merge(local.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.tags, { Name = var.name })
}

resource "aws_route" "v4" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = local.everybody.v4
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route" "v6" {
  route_table_id              = aws_route_table.public.id
  destination_ipv6_cidr_block = local.everybody.v6
  gateway_id                  = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = var.zones

  route_table_id = aws_route_table.public.id
  subnet_id      = aws_subnet.public[each.key].id
}

# Releases are fetched over this, which costs nothing.
resource "aws_vpc_endpoint" "s3" {
  vpc_id          = aws_vpc.this.id
  service_name    = "com.amazonaws.${data.aws_region.current.id}.s3"
  route_table_ids = [aws_route_table.public.id]
  tags            = merge(local.tags, { Name = "${var.name}-s3" })
}

resource "aws_security_group" "relays" {
  #checkov:skip=CKV2_AWS_5:the relays module attaches it
  name        = "${var.name}-relays"
  description = "Relays: voice, and sealed messages of the edge"
  vpc_id      = aws_vpc.this.id
  tags        = merge(local.tags, { Name = "${var.name}-relays" })
}

# In from everybody AND out to everybody, on all ports: only then does AWS not track the flows. The
# number of tracked ones has a hidden limit for each machine, over which new players hear nothing.
resource "aws_vpc_security_group_ingress_rule" "open" {
  for_each = local.openings

  security_group_id = aws_security_group.relays.id
  description       = each.value.why
  ip_protocol       = each.value.protocol
  from_port         = each.value.from
  to_port           = each.value.to
  cidr_ipv4         = each.value.family == "v4" ? each.value.cidr : null
  cidr_ipv6         = each.value.family == "v6" ? each.value.cidr : null
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "open" {
  #checkov:skip=CKV_AWS_382:a narrower rule makes AWS track every flow, see above
  for_each = local.everybody

  security_group_id = aws_security_group.relays.id
  description       = "players are anywhere; narrower would have every flow tracked"
  ip_protocol       = "-1"
  cidr_ipv4         = each.key == "v4" ? each.value : null
  cidr_ipv6         = each.key == "v6" ? each.value : null
  tags              = local.tags
}

# A packet that is too large for some way is answered so; without it, DTLS ends in silence there.
resource "aws_vpc_security_group_ingress_rule" "fragmentation_needed" {
  security_group_id = aws_security_group.relays.id
  description       = "ICMP: fragmentation needed"
  ip_protocol       = "icmp"
  from_port         = 3
  to_port           = 4
  cidr_ipv4         = local.everybody.v4
  tags              = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "packet_too_big" {
  security_group_id = aws_security_group.relays.id
  description       = "ICMPv6: packet too big"
  ip_protocol       = "icmpv6"
  from_port         = 2
  to_port           = 0
  cidr_ipv6         = local.everybody.v6
  tags              = local.tags
}
