output "bucket" {
  description = "Name of the bucket, known once it is there."
  value       = aws_s3_bucket.this.bucket
}

output "key_arn" {
  description = "ARN of its KMS key, if it has one."
  value       = one(aws_kms_key.this[*].arn)
}
