output "url" {
  description = "Where players reach the edge, in every region."
  value       = module.edge.url
}

output "regional_url" {
  description = "The edge of this region alone."
  value       = "https://${module.dns.regional_name}"
}

output "functions" {
  description = "Name and newest version of each function."
  value       = module.edge.functions
}

output "relay_groups" {
  description = "Group of relays of each colour."
  value       = module.relays.groups
}

output "machines_max" {
  description = "Machines at most, of both colours: what quotas must hold."
  value       = module.relays.machines_max
}
