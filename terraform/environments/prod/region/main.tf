locals {
  service   = "lifeverse-prod"
  name      = "${local.service}-${var.region}"
  regions   = jsondecode(file(var.regions_file))
  here      = local.regions[var.region]
  functions = ["chat", "fleet", "matchmaking", "safety", "signalling"]
  tags      = { Project = "lifeverse", Env = "prod", Owner = var.owner, CostCentre = var.cost_centre, ManagedBy = "terraform" }

  # What another part of the edge would answer 200 to without a token. There may be none.
  health_paths = [for route in keys(module.edge.routes) : trimprefix(route, "GET ") if can(regex("^GET (/v1)?/(health|ready)z?$", route))]
}

module "network" {
  source = "../../../modules/network"

  name  = local.name
  cidr  = local.here.cidr
  zones = local.here.zones
}

module "edge" {
  source = "../../../modules/edge"

  name            = local.name
  table_name      = coalesce(var.table, local.service)
  parameters_path = "/lifeverse/prod"
  home_regions    = length(local.regions) < 2 ? {} : { for region, what in local.regions : region => [what.voice_region] }
  packages        = { for name in local.functions : name => "${var.packages}/${name}-lambda/bootstrap.zip" }
  grants_file     = var.grants_file

  settings = {
    region              = local.here.voice_region
    relay_control_hosts = module.network.relay_control_hosts
    usage_objects       = module.records.bucket
    # Relays of every region: one whose own edge is gone enrols at that of another.
    enrolment_aws = {
      sts_regions = keys(local.regions)
      allow = [
        for region, what in local.regions :
        { account = var.account, role = "${local.service}-${region}-relay", region = what.voice_region, capacity = var.participants }
      ]
    }
  }

  throttling = var.throttling
  # The dearest route and what games ask most have a share each; what nobody needs at that rate has less.
  route_throttling = {
    "POST /v1/rooms/{room}/sessions" = { rate_limit = floor(var.throttling.rate_limit / 2), burst_limit = floor(var.throttling.burst_limit / 2) }
    "POST /v1/relays/enrolment"      = { rate_limit = 20, burst_limit = 50 }
  }

  domain = {
    name            = var.domain
    regional_name   = module.dns.regional_name
    certificate_arn = module.dns.certificate_arn
  }

  schedules = {
    for queue in var.queues : "tick-${queue}" => {
      function = "matchmaking"
      path     = "/v1/match/queues/${queue}/tick"
    }
  }
}

module "dns" {
  source = "../../../modules/dns"

  zone_id     = var.zone_id
  name        = var.domain
  targets     = module.edge.domains
  health_path = one(local.health_paths)
}

module "relays" {
  source = "../../../modules/relays"

  name = local.name
  network = {
    subnet_ids        = module.network.subnet_ids
    security_group_id = module.network.relay_security_group_id
    media_ports       = module.network.media_ports
  }
  edge_url     = "https://${var.domain}"
  voice_region = local.here.voice_region
  artefacts    = var.artefacts
  colours      = var.colours
  capacity     = { participants = var.participants }
  records      = { bucket = module.records.bucket, region = var.region }
  remote_write = var.remote_write_url == null ? module.observability.remote_write : { url = var.remote_write_url }
  tags         = local.tags
}

module "observability" {
  source = "../../../modules/observability"

  name                = local.name
  receivers           = var.receivers
  edge                = { api_id = module.edge.api_id, functions = module.edge.functions }
  table_name          = coalesce(var.table, local.service)
  replica_regions     = setsubtract(keys(local.regions), [var.region])
  groups              = { for colour in keys(var.colours) : colour => "${local.name}-${colour}" }
  account_concurrency = var.account_concurrency
  workspace           = var.remote_write_url == null
}

module "records" {
  source    = "../../../modules/records"
  providers = { aws = aws, aws.billing = aws.billing }

  name       = local.name
  log_groups = module.edge.log_groups
  # Once for the account.
  billing_export = var.region == var.billing_region
}
