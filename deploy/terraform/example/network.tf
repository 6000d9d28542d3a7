data "aws_region" "this" {}

data "aws_availability_zones" "available" {
  state = "available"
}

data "aws_ec2_managed_prefix_list" "s3" {
  name = "com.amazonaws.${data.aws_region.this.name}.s3"
}

resource "aws_vpc" "this" {
  cidr_block = "10.0.0.0/16"
  # The host name of the bucket is resolved by the resolver of the VPC, which no security group can block.
  enable_dns_support   = true
  enable_dns_hostnames = true
}

resource "aws_subnet" "private" {
  count             = 2
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(aws_vpc.this.cidr_block, 4, count.index)
  availability_zone = data.aws_availability_zones.available.names[count.index]
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id
}

resource "aws_route_table_association" "private" {
  count          = 2
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

# No NAT: logs take this way, which costs nothing.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${data.aws_region.this.name}.s3"
  route_table_ids   = [aws_route_table.private.id]

  # Everything that these subnets do with S3 goes this way: add what the functions themselves need.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "LogspoolWrites"
      Effect    = "Allow"
      Principal = "*"
      Action    = ["s3:PutObject", "s3:PutObjectTagging"]
      Resource  = "arn:aws:s3:::${var.bucket}/*"
    }]
  })
}

resource "aws_security_group" "functions" {
  name        = "functions"
  description = "HTTPS to S3 and nothing else"
  vpc_id      = aws_vpc.this.id

  egress {
    description     = "S3"
    protocol        = "tcp"
    from_port       = 443
    to_port         = 443
    prefix_list_ids = [data.aws_ec2_managed_prefix_list.s3.id]
  }
}
