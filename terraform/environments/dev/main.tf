locals {
  name      = "lifeverse-dev"
  functions = ["chat", "fleet", "matchmaking", "safety", "signalling"]
  # What a group starts has no default tags.
  tags = { Project = "lifeverse", Env = "dev", Owner = var.owner, CostCentre = var.cost_centre, ManagedBy = "terraform" }

  relays = var.relays == null ? {} : { here = var.relays }

  # What a month may cost has one place, which `finops forecast` reads too.
  budget_usd = jsondecode(file("${path.module}/../../../infra/ops/budgets.json")).dev.month_usd
}

module "state" {
  source = "../../modules/state"

  name = local.name
  # Nobody needs what is in dev.
  protected     = false
  recovery_days = 7
  backup        = { keep_days = 7 }
}

module "edge" {
  source = "../../modules/edge"

  name            = local.name
  table_name      = module.state.table_name
  parameters_path = "/lifeverse/dev"
  packages        = { for name in local.functions : name => "${var.packages}/${name}-lambda/bootstrap.zip" }
  grants_file     = var.grants_file

  settings = {
    region              = var.voice_region
    relay_control_hosts = concat(var.relay_control_hosts, flatten(values(module.network)[*].relay_control_hosts))
    enrolment_aws = var.relays == null ? null : {
      sts_regions = [var.region]
      allow       = [{ account = var.account, role = "${local.name}-relay", region = var.voice_region, capacity = var.relays.participants }]
    }
  }

  # Dev costs at most what this many requests cost.
  throttling = { rate_limit = 100, burst_limit = 100 }
  route_throttling = {
    "POST /v1/rooms/{room}/sessions" = { rate_limit = 20, burst_limit = 20 }
  }

  schedules = {
    for queue in var.queues : "tick-${queue}" => {
      function = "matchmaking"
      path     = "/v1/match/queues/${queue}/tick"
    }
  }

  log_retention_days = 7
}

# The bucket of releases. Nobody takes a role of CI here.
module "delivery" {
  source = "../../modules/delivery"

  name         = local.name
  state_bucket = "${local.name}-state"
  disposable   = true
}

module "network" {
  source   = "../../modules/network"
  for_each = local.relays

  name       = local.name
  cidr       = "10.10.0.0/16"
  zones      = ["a", "b"]
  disposable = true
}

module "relays" {
  source   = "../../modules/relays"
  for_each = local.relays

  name = local.name
  network = {
    subnet_ids        = module.network[each.key].subnet_ids
    security_group_id = module.network[each.key].relay_security_group_id
    media_ports       = module.network[each.key].media_ports
  }
  edge_url     = module.edge.url
  voice_region = var.voice_region
  artefacts    = { bucket = module.delivery.artefact_bucket, region = var.region, release_key = each.value.release_key }
  colours = var.colours != null ? var.colours : {
    for colour in ["blue", "green"] : colour => {
      version = each.value.version
      ami     = each.value.ami
      min     = colour == "blue" ? 1 : 0
      max     = 2
    }
  }
  instance_types = each.value.instance_types
  capacity       = { participants = each.value.participants }
  spot           = true
  disposable     = true
  tags           = local.tags
}

module "budget" {
  source   = "../../modules/budget"
  for_each = var.budget == null ? {} : { here = var.budget }

  name        = local.name
  monthly_usd = local.budget_usd
  receivers   = each.value.receivers
  brake_roles = each.value.brake_roles
}
