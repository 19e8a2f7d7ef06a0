output "vpc_id" {
  description = "Of the network."
  value       = aws_vpc.this.id
}

output "subnet_ids" {
  description = "The public subnet of each zone, for relays."
  value       = [for zone in sort(var.zones) : aws_subnet.public[zone].id]
}

output "relay_security_group_id" {
  description = "The group of relays."
  value       = aws_security_group.relays.id
}

output "media_ports" {
  description = "UDP ports that are open for voice: no relay has more shards."
  value       = var.media_ports
}

output "relay_control_hosts" {
  description = "Where functions reach relays through the rules above: for settings.relay_control_hosts of the edge."
  # As allowed_hosts of the functions reads it: any address, and this port alone.
  value = ["http://*:${local.open.control.from}"]
}
