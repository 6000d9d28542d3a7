// cdk deploy -c layerArn=arn:aws:lambda:… -c bucket=your-bucket: two functions whose logs go to a bucket that is there.
import { App, Duration, Stack } from "aws-cdk-lib";
import * as kms from "aws-cdk-lib/aws-kms";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as s3 from "aws-cdk-lib/aws-s3";
import { Logspool } from "../lib/logspool";

const app = new App();
const stack = new Stack(app, "Shop");

const given = (name: string, otherwise?: string): string => {
  const value: unknown = app.node.tryGetContext(name) ?? otherwise;
  if (typeof value !== "string") throw new Error(`-c ${name}=… is missing`);
  return value;
};
const keyArn: unknown = app.node.tryGetContext("keyArn");

const logs = new Logspool(stack, "Logs", {
  layerArn: given("layerArn"),
  bucket: s3.Bucket.fromBucketName(stack, "Bucket", given("bucket")),
  prefix: given("prefix", "your-prefix"),
  key: typeof keyArn === "string" ? kms.Key.fromKeyArn(stack, "Key", keyArn) : undefined,
  bucketOwner: app.node.tryGetContext("bucketOwner"),
  tags: app.node.tryGetContext("team") ? { team: app.node.tryGetContext("team") } : undefined,
  cloudWatch: app.node.tryGetContext("cloudWatch") === "on",
});

for (const name of ["orders", "payments"]) {
  const target = new lambda.Function(stack, name, {
    // Your code: lambda.Code.fromAsset("orders").
    code: lambda.Code.fromInline("def handler(event, context):\n    print('hello')\n"),
    handler: "index.handler",
    runtime: lambda.Runtime.PYTHON_3_13,
    architecture: lambda.Architecture.ARM_64,
    memorySize: 256,
    timeout: Duration.seconds(30),
  });
  logs.addTo(target);
}
