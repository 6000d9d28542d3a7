output "layers" {
  description = "For `layers` of the function."
  value       = [var.layer_arn]
}

output "environment" {
  description = "For `environment.variables` of the function, beside its own."
  value = merge(
    { for name, value in local.own_settings : name => value if value != null },
    { for name, value in var.settings : "LOGSPOOL_${name}" => value },
  )
}

output "policy" {
  description = "For the role of the function, as JSON."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}
