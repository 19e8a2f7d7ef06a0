variable "name" {
  description = "Beginning of every name here, such as lifeverse-prod."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "name is 4 to 40 small letters, digits and hyphens, begins with a letter and does not end in a hyphen, such as lifeverse-prod."
  }
}

variable "table_name" {
  description = "Name of the table: the output of the state module."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{3,255}$", var.table_name))
    error_message = "table_name is the name of a DynamoDB table in this region, not its ARN."
  }
}

variable "parameters_path" {
  description = "Where the secrets of permissions.json are in Parameter Store: /lifeverse/prod for /lifeverse/prod/token_keys."
  type        = string

  validation {
    condition     = can(regex("^(/[a-zA-Z0-9_.-]+)+$", var.parameters_path))
    error_message = "parameters_path begins with a slash and does not end in one, such as /lifeverse/prod."
  }
}

variable "packages" {
  description = "The zip file of each function, for arm64, as `cargo xtask lambda` makes them."
  type        = map(string)

  validation {
    condition     = toset(keys(var.packages)) == toset(keys(local.permissions))
    error_message = "packages has a zip for each function of functions/permissions.json and for no other: ${join(", ", keys(local.permissions))}."
  }

  validation {
    condition     = alltrue([for path in values(var.packages) : fileexists(path)])
    error_message = "There is no file at ${join(", ", [for path in values(var.packages) : path if !fileexists(path)])}: run `cargo xtask lambda`, or set the path right."
  }
}

variable "settings" {
  description = "What functions are told; each gets those that permissions.json lists for it."
  type = object({
    # Where rooms are placed that name no region: a region of the service, such as eu.
    region = string
    # The audience of players' tokens.
    token_audience = optional(string)
    # Longest life of a player's token, in seconds: one that is issued for longer is refused. 86400 when not set.
    token_life_s = optional(number)
    # A policy table in place of the one that is compiled in, as JSON.
    policy = optional(string)
    # Where functions may reach relays, such as http://*.relays.example.com:7412.
    relay_control_hosts = optional(list(string), [])
    # As relays write it after --enrol. Without it the domain, or the address that AWS gives.
    edge_url = optional(string)
    # The bucket where what relays report of usage is kept, below usage/: output of the records module. Relays keep
    # it for a week without one.
    usage_objects = optional(string)
    # Relays whose keys come in files, and what each may say of itself: a name, or what names begin with and *.
    static_shards = optional(list(object({
      shards       = string
      region       = string
      capacity     = number
      control_host = optional(string)
      least_epoch  = optional(number)
    })), [])
    # Which roles of machines may join the fleet, and the regions whose identity service says who signed.
    enrolment_aws = optional(object({
      sts_regions = set(string)
      allow = list(object({
        account  = string
        role     = string
        region   = string
        capacity = number
      }))
    }))
  })

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,31}$", var.settings.region))
    error_message = "settings.region is a region of the service: up to 32 small letters, digits and hyphens, such as eu."
  }

  validation {
    condition     = var.settings.policy == null || can(keys(jsondecode(var.settings.policy)))
    error_message = "settings.policy is a JSON object, as functions/edge/src/policy.rs describes it."
  }

  validation {
    condition     = alltrue([for host in var.settings.relay_control_hosts : can(regex("^(https?|[*])://[^/,\\s]+$", host))])
    error_message = "An entry of settings.relay_control_hosts is SCHEME://HOST:PORT without a path, such as http://*.relays.example.com:7412."
  }

  validation {
    condition     = var.settings.edge_url == null || can(regex("^https://[^/?#\\s]+$", var.settings.edge_url))
    error_message = "settings.edge_url is https://HOST without a path: proofs of enrolment are signed for this host."
  }

  validation {
    condition = var.settings.enrolment_aws == null || alltrue([
      for entry in try(var.settings.enrolment_aws.allow, []) :
      can(regex("^[0-9]{12}$", entry.account)) && !strcontains(entry.role, "*") && entry.capacity > 0
    ])
    error_message = "An entry of settings.enrolment_aws.allow has an account of 12 digits, the whole name of a role (no *) and a capacity over 0."
  }

  validation {
    condition = alltrue([
      for region in try(var.settings.enrolment_aws.sts_regions, []) : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region))
    ])
    error_message = "An entry of settings.enrolment_aws.sts_regions is a region of AWS, such as eu-west-1."
  }
}

variable "home_regions" {
  description = "Regions of AWS that share the table, and the voice regions that each is closest to; none for a table in one region. Every region has the same: by it all agree where an item is written."
  type        = map(set(string))
  default     = {}

  validation {
    condition     = length(var.home_regions) != 1 && alltrue([for region in keys(var.home_regions) : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region))])
    error_message = "home_regions names several regions of AWS, such as eu-west-1, or none."
  }

  validation {
    condition     = length(flatten([for places in values(var.home_regions) : tolist(places)])) == length(setunion(concat([[]], values(var.home_regions))...))
    error_message = "A voice region is closest to one region: home_regions names it twice."
  }
}

variable "throttling" {
  description = "Requests a second for all routes together, and how many at once. API Gateway takes a missing one for 0 and refuses every request, so both are required."
  type = object({
    rate_limit  = number
    burst_limit = number
  })
  nullable = false

  validation {
    condition     = var.throttling.rate_limit > 0 && var.throttling.burst_limit > 0
    error_message = "throttling.rate_limit and throttling.burst_limit are over 0; 0 refuses every request."
  }
}

variable "route_throttling" {
  description = "The same for single routes, by method and path as in the OpenAPI document: \"POST /v1/rooms/{room}/sessions\"."
  type = map(object({
    rate_limit  = number
    burst_limit = number
  }))
  default = {}

  validation {
    condition     = alltrue([for limit in values(var.route_throttling) : try(limit.rate_limit > 0 && limit.burst_limit > 0, false)])
    error_message = "Each rate_limit and burst_limit of route_throttling is over 0; 0 refuses every request."
  }

  validation {
    condition     = alltrue([for route in keys(var.route_throttling) : contains(keys(local.routes), route)])
    error_message = "route_throttling has a route that functions/wire/openapi.json does not: ${join(", ", setsubtract(keys(var.route_throttling), keys(local.routes)))}."
  }
}

variable "reserved_concurrency" {
  description = "Executions at once that are kept for a function, and its most. New accounts have 10 in all and allow no reservation, so none is made unless it is asked for."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.reserved_concurrency) : contains(keys(local.permissions), name)])
    error_message = "reserved_concurrency names a function that functions/permissions.json does not; the functions are ${join(", ", keys(local.permissions))}."
  }

  validation {
    condition     = length(var.reserved_concurrency) == 0 || try(sum(values(var.reserved_concurrency)) + 100 <= var.account_concurrency, false)
    error_message = "reserved_concurrency leaves fewer than 100 of account_concurrency, which AWS refuses. Set account_concurrency to the account's limit (`aws lambda get-account-settings`), have it raised, or reserve less."
  }
}

variable "account_concurrency" {
  description = "Executions at once that the account has in this region; needed for reserved_concurrency."
  type        = number
  default     = null
}

variable "schedules" {
  description = "Requests that EventBridge makes: the function, the path of a route for operators, and when."
  type = map(object({
    function   = string
    path       = string
    expression = optional(string, "rate(1 minute)")
  }))
  default = {}

  validation {
    condition = alltrue([
      for schedule in values(var.schedules) :
      try(contains(local.permissions[schedule.function].secrets, "edge_token_secret"), false) && can(regex("^/v1/[a-z0-9/_-]+$", schedule.path))
    ])
    error_message = "A schedule has a function that may sign its request (edge_token_secret in functions/permissions.json) and a path, such as /v1/match/queues/duel/tick."
  }

  validation {
    condition     = alltrue([for schedule in values(var.schedules) : can(regex("^(rate|cron)\\([^()]+\\)$", schedule.expression))])
    error_message = "The expression of a schedule is one of EventBridge, such as rate(1 minute)."
  }
}

variable "domain" {
  description = "Name of the edge with its certificate (of this region), and a second name of this region alone, which health checks ask: with a domain the address that AWS gives is switched off."
  type = object({
    name            = string
    regional_name   = optional(string)
    certificate_arn = string
  })
  default = null

  validation {
    condition     = var.domain == null || can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.domain.name))
    error_message = "domain.name is a host name without scheme or path, such as voice.example.com."
  }

  validation {
    condition     = var.domain == null || can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.domain.certificate_arn))
    error_message = "domain.certificate_arn is the ARN of a certificate of ACM in this region; it covers both names."
  }
}

variable "log_retention_days" {
  description = "Days for which logs of functions and of the gateway are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400], var.log_retention_days)
    error_message = "log_retention_days is one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365 and 400; CloudWatch knows no other."
  }
}

variable "kms_key_arns" {
  description = "Keys of one's own that the table or the parameters are encrypted with."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.kms_key_arns : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[^*]+$", arn))])
    error_message = "An entry of kms_key_arns is the ARN of one key, without *."
  }
}

variable "tags" {
  description = "Tags besides the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "grants_file" {
  description = "A permissions.json whose grants hold beside those of this version: that of the version with the rest of the traffic. Deployments set it."
  type        = string
  default     = null

  validation {
    condition     = var.grants_file == null || can(jsondecode(file(var.grants_file)))
    error_message = "grants_file is a permissions.json: that of the release which is live."
  }
}
