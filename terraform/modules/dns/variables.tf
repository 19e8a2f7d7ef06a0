variable "zone_id" {
  description = "The public zone in Route 53 that has the names."
  type        = string

  validation {
    condition     = can(regex("^Z[A-Z0-9]{5,31}$", var.zone_id))
    error_message = "zone_id is the id of a zone, such as Z0123456789ABCDEFGHIJ: `aws route53 list-hosted-zones` shows it."
  }
}

variable "name" {
  description = "Where players reach the edge, in every region: voice.example.com."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.name))
    error_message = "name is a host name without scheme or path, such as voice.example.com."
  }
}

variable "targets" {
  description = "What each name points at: the output domains of the edge module."
  type = map(object({
    target = string
    zone   = string
  }))
}

variable "health_path" {
  description = "A path that answers 200 while this region may serve, without a token. Without it only the connection is tried, which says that the gateway is there."
  type        = string
  default     = null

  validation {
    condition     = var.health_path == null || can(regex("^/[a-z0-9/_-]+$", var.health_path))
    error_message = "health_path is a path, such as /v1/health."
  }
}

variable "tags" {
  description = "Tags besides the provider's default tags."
  type        = map(string)
  default     = {}
}
