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
