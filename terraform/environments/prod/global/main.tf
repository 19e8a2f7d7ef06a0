locals {
  name    = "lifeverse-prod"
  regions = jsondecode(file(var.regions_file))

  # What a month may cost has one place, which `finops forecast` reads too.
  budget_usd = jsondecode(file("${path.module}/../../../../infra/ops/budgets.json")).prod.month_usd

  tags = { Project = "lifeverse", Env = "prod", Owner = var.owner, CostCentre = var.cost_centre, ManagedBy = "terraform" }
}

module "state" {
  source = "../../../modules/state"

  name       = local.name
  table_name = var.table
  replicas   = { for region in keys(local.regions) : region => {} if region != var.table_region }
}

module "delivery" {
  source = "../../../modules/delivery"

  name         = local.name
  state_bucket = var.state_bucket
  provider_arn = var.github_provider_arn
  subjects = {
    plan    = ["repo:${var.github_repository}:ref:refs/heads/main"]
    apply   = ["repo:${var.github_repository}:environment:prod"]
    release = ["repo:${var.github_repository}:environment:release"]
  }
}

module "budget" {
  source = "../../../modules/budget"

  name                = local.name
  monthly_usd         = local.budget_usd
  receivers           = var.receivers
  anomaly_monitor_arn = var.anomaly_monitor_arn
  activate_tags       = var.activate_tags
}
