output "table_name" {
  description = "Name of the table in every region."
  value       = module.state.table_name
}

output "artefact_bucket" {
  description = "Where releases are: artefact_bucket of each region."
  value       = module.delivery.artefact_bucket
}

output "roles" {
  description = "Roles of CI: plan, apply, release."
  value       = module.delivery.roles
}
