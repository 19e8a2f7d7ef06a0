output "url" {
  description = "Where the edge is."
  value       = module.edge.url
}

output "table_name" {
  description = "Name of the table."
  value       = module.state.table_name
}

output "functions" {
  description = "Name and newest version of each function."
  value       = module.edge.functions
}

output "artefact_bucket" {
  description = "Where releases go, a folder for each version."
  value       = module.delivery.artefact_bucket
}

output "relay_groups" {
  description = "Groups of relays by colour, where there are relays."
  value       = try(module.relays["here"].groups, {})
}
