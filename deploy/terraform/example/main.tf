# Two functions in a network without a way to the internet, whose logs go to a bucket with a key of its own.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "layer_arn" {
  description = "The version of the layer, as `aws lambda publish-layer-version` has named it."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket to make."
  type        = string
}

variable "packages" {
  description = "Zip files of the functions' code by the functions' names."
  type        = map(string)
  default     = { orders = "orders.zip", payments = "payments.zip" }
}

module "bucket" {
  source  = "../bucket"
  bucket  = var.bucket
  prefix  = "your-prefix"
  own_key = true
}

module "logspool" {
  source    = "../logspool"
  layer_arn = var.layer_arn
  bucket    = module.bucket.bucket
  prefix    = "your-prefix"
  key_arn   = module.bucket.key_arn
}

resource "aws_iam_role" "functions" {
  for_each = var.packages
  name     = each.key

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "logspool" {
  for_each = aws_iam_role.functions
  name     = "logspool"
  role     = each.value.id
  policy   = module.logspool.policy
}

# For the network interfaces only: what it also allows, writing to CloudWatch Logs, is denied above.
resource "aws_iam_role_policy_attachment" "network" {
  for_each   = aws_iam_role.functions
  role       = each.value.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
}

resource "aws_lambda_function" "functions" {
  for_each         = var.packages
  function_name    = each.key
  role             = aws_iam_role.functions[each.key].arn
  filename         = each.value
  source_code_hash = filebase64sha256(each.value)
  handler          = "app.handler"
  runtime          = "python3.13"
  architectures    = ["arm64"]
  memory_size      = 256
  timeout          = 30
  layers           = module.logspool.layers

  environment {
    variables = merge(module.logspool.environment, { TABLE = each.key })
  }

  vpc_config {
    subnet_ids         = aws_subnet.private[*].id
    security_group_ids = [aws_security_group.functions.id]
  }

  depends_on = [aws_iam_role_policy.logspool, aws_iam_role_policy_attachment.network]
}
