# What a function needs for its logs to go to S3. It makes nothing: give its outputs to the functions and roles that you have.

terraform {
  required_version = ">= 1.3"
}

locals {
  objects = "arn:${var.partition}:s3:::${var.bucket}/${var.prefix}/*"

  statements = concat(
    [{ Sid = "LogspoolWrites", Effect = "Allow", Action = ["s3:PutObject"], Resource = local.objects }],
    [for key in var.key_arn[*] : { Sid = "LogspoolEncrypts", Effect = "Allow", Action = ["kms:GenerateDataKey"], Resource = key }],
    length(var.tags) == 0 ? [] : [
      { Sid = "LogspoolTags", Effect = "Allow", Action = ["s3:PutObjectTagging"], Resource = local.objects }
    ],
    # A denial, since AWSLambdaBasicExecutionRole and AWSLambdaVPCAccessExecutionRole, which most roles have, allow it.
    var.cloudwatch ? [] : [{
      Sid      = "LogspoolInstead"
      Effect   = "Deny"
      Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "*"
    }],
  )

  own_settings = {
    LOGSPOOL_DESTINATION     = "s3://${var.bucket}/${var.prefix}"
    LOGSPOOL_S3_BUCKET_OWNER = var.bucket_owner
    LOGSPOOL_S3_KMS_KEY_ID   = var.key_arn
    LOGSPOOL_S3_TAGS         = length(var.tags) == 0 ? null : join(",", [for name, value in var.tags : "${name}=${value}"])
  }
}
