locals {
  tags = merge(var.tags, { Component = "edge" })

  # What functions may touch, and which of them serves what, is said once, beside their code.
  own_permissions = jsondecode(file("${path.module}/../../../functions/permissions.json"))
  # Both versions behind an alias have one role: while a deployment moves between them, it may do what
  # either needs.
  others = var.grants_file == null ? {} : jsondecode(file(var.grants_file))
  permissions = {
    for function, needs in local.own_permissions : function => merge(needs, {
      for list in ["partitions", "secrets", "table"] :
      list => try(sort(setunion(needs[list], local.others[function][list])), needs[list])
    })
  }
  paths = jsondecode(file("${path.module}/../../../functions/wire/openapi.json")).paths

  methods = ["get", "put", "post", "delete", "patch"]

  # "POST /v1/rooms/{room}/sessions" => "signalling"
  operations = merge([
    for path, members in local.paths : {
      for method, operation in members : "${upper(method)} ${path}" => operation.tags[0]
      if contains(local.methods, method)
    }
  ]...)

  # Functions answer a browser's preflight themselves: what may be asked is said in one place.
  preflights = {
    for path in keys(local.paths) : "OPTIONS ${path}" => one(toset([
      for route, function in local.operations : function if endswith(route, " ${path}")
    ]))
  }

  routes = merge(local.operations, local.preflights)

  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # Made of names and not taken from the resources, so that a plan shows the whole policies.
  # In every region that the table has a home in: a request is answered wherever it comes in.
  table_arns = [
    for region in setunion([local.region], keys(var.home_regions)) :
    "arn:${local.partition}:dynamodb:${region}:${local.account}:table/${var.table_name}"
  ]
  home_regions = length(var.home_regions) == 0 ? null : jsonencode({ here = local.region, regions = var.home_regions })
  parameter_arns = {
    for function, needs in local.permissions : function => [
      for secret in needs.secrets :
      "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${var.parameters_path}/${secret}"
    ]
  }

  sts = {
    for region in try(var.settings.enrolment_aws.sts_regions, []) : region => "https://sts.${region}.amazonaws.com"
  }
  edge_url = coalesce(
    var.settings.edge_url,
    var.domain == null ? aws_apigatewayv2_api.this.api_endpoint : "https://${var.domain.name}",
  )

  # Every setting that a function may ask for; those without a value are left out.
  settings = {
    region              = var.settings.region
    token_audience      = var.settings.token_audience
    token_life_s        = var.settings.token_life_s
    policy              = var.settings.policy
    relay_control_hosts = length(var.settings.relay_control_hosts) == 0 ? null : join(",", var.settings.relay_control_hosts)
    edge_url            = local.edge_url
    home_regions        = local.home_regions
    enrolment_aws = var.settings.enrolment_aws == null ? null : jsonencode({
      sts   = local.sts
      allow = var.settings.enrolment_aws.allow
    })
    static_shards = length(var.settings.static_shards) == 0 ? null : jsonencode([
      for entry in var.settings.static_shards : { for name, value in entry : name => value if value != null }
    ])
    usage_objects = var.settings.usage_objects
    sts_hosts     = length(local.sts) == 0 ? null : join(",", values(local.sts))
  }
  known_settings = ["region", "token_audience", "token_life_s", "policy", "relay_control_hosts", "edge_url", "home_regions", "enrolment_aws", "sts_hosts", "static_shards", "usage_objects"]

  environments = {
    for function, needs in local.permissions : function => merge(
      { LIFEVERSE_TABLE = var.table_name, LIFEVERSE_PARAMETERS = var.parameters_path },
      # For the adapter of every function, whatever the function itself asks for.
      local.home_regions == null ? {} : { LIFEVERSE_HOME_REGIONS = local.home_regions },
      {
        for setting in needs.settings : "LIFEVERSE_${upper(setting)}" => local.settings[setting]
        # The address is known after the first apply only, and there always is one.
        if setting == "edge_url" ? true : lookup(local.settings, setting, null) != null
      },
    )
  }

  domains = var.domain == null ? [] : compact([var.domain.name, var.domain.regional_name])

  # AWS takes no more.
  environment_bytes_max = 4096
  routes_max            = 300
  integration_ms_max    = 30000
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}
