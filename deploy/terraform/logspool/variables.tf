variable "layer_arn" {
  description = "The version of the layer, as `aws lambda publish-layer-version` has named it."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "prefix" {
  description = "Folder of the bucket, without a slash at either end."
  type        = string

  validation {
    condition     = can(regex("^[^/](.*[^/])?$", var.prefix))
    error_message = "It must neither be empty nor begin or end with a slash."
  }
}

variable "bucket_owner" {
  description = "Account that the bucket must belong to; else it gets nothing."
  type        = string
  default     = null
}

variable "key_arn" {
  description = "ARN of the KMS key that the bucket encrypts with, if it has one of its own."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of every object."
  type        = map(string)
  default     = {}
}

variable "cloudwatch" {
  description = "Whether the functions may still write to CloudWatch Logs; that they may not is what saves money."
  type        = bool
  default     = false
}

variable "settings" {
  description = "Further settings by their names without `LOGSPOOL_`, like SEAL_AGE."
  type        = map(string)
  default     = {}
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
}
