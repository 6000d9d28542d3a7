variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "prefix" {
  description = "Folder of the bucket, without a slash at either end."
  type        = string
}

variable "expire_after_days" {
  description = "After how many days an object is deleted."
  type        = number
  default     = 90

  validation {
    condition     = var.expire_after_days > 30
    error_message = "It must be more than the 30 days after which objects move to STANDARD_IA."
  }
}

variable "other_accounts" {
  description = "Ids of further accounts whose functions may write here."
  type        = list(string)
  default     = []
}

variable "own_key" {
  description = "Whether the bucket has a KMS key of its own, which the functions must be allowed to use."
  type        = bool
  default     = false
}
