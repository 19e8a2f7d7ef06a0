variable "name" {
  description = "Beginning of every name here, such as lifeverse-prod-eu-west-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "name is 4 to 40 small letters, digits and hyphens, begins with a letter and does not end in a hyphen, such as lifeverse-prod-eu-west-1."
  }
}

variable "cidr" {
  description = "Private IPv4 addresses of this region: a /16 that no other region has."
  type        = string

  validation {
    condition     = can(regex("^10\\.[0-9]{1,3}\\.0\\.0/16$", var.cidr)) && can(cidrhost(var.cidr, 1))
    error_message = "cidr is 10.N.0.0/16 with N from 0 to 255."
  }
}

variable "zones" {
  description = "Zones with a subnet, by their letters: [\"a\", \"b\"]. Two or more, so that the loss of one leaves relays."
  type        = set(string)

  validation {
    condition     = length(var.zones) >= 2 && alltrue([for zone in var.zones : can(regex("^[a-f]$", zone))])
    error_message = "zones is at least two letters from a to f, such as [\"a\", \"b\"]; `aws ec2 describe-availability-zones` shows those of the region."
  }
}

variable "media_ports" {
  description = "UDP ports for voice from 7410 on: as many as a relay has shards at most."
  type        = number
  default     = 8

  validation {
    condition     = var.media_ports >= 1 && var.media_ports <= 128 && floor(var.media_ports) == var.media_ports
    error_message = "media_ports is a whole number from 1 to 128, the most shards of a relay."
  }
}

variable "disposable" {
  description = "Whether a plan may destroy this network. Where it says false, a plan for another region on this region's state is refused."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags besides the provider's default tags."
  type        = map(string)
  default     = {}
}
