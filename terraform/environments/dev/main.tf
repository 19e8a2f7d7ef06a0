locals {
  name      = "lifeverse-dev"
  functions = ["chat", "fleet", "matchmaking", "signalling"]
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

  settings = {
    region              = var.voice_region
    relay_control_hosts = var.relay_control_hosts
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
