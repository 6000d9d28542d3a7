import { Token } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import * as kms from "aws-cdk-lib/aws-kms";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as s3 from "aws-cdk-lib/aws-s3";
import { Construct } from "constructs";

/** Where the logs of functions go, and what else is to be set. */
export interface LogspoolProps {
  /** The version of the layer, as `aws lambda publish-layer-version` has named it. */
  readonly layerArn: string;
  readonly bucket: s3.IBucket;
  /** Folder of the bucket, without a slash at either end. */
  readonly prefix: string;
  /** The KMS key that the bucket encrypts with, if it has one of its own. */
  readonly key?: kms.IKey;
  /** Account that the bucket must belong to; else it gets nothing. */
  readonly bucketOwner?: string;
  /** Tags of every object. */
  readonly tags?: Record<string, string>;
  /** Whether the functions may still write to CloudWatch Logs; that they may not is what saves money. Default: false. */
  readonly cloudWatch?: boolean;
  /** Further settings by their names without `LOGSPOOL_`, like `SEAL_AGE`. */
  readonly settings?: Record<string, string>;
}

/** The layer, its settings and what the roles need, for any number of functions. */
export class Logspool extends Construct {
  private readonly layer: lambda.ILayerVersion;

  constructor(scope: Construct, id: string, private readonly props: LogspoolProps) {
    super(scope, id);
    if (!Token.isUnresolved(props.prefix) && !/^[^/](.*[^/])?$/.test(props.prefix)) {
      throw new Error(`prefix ${JSON.stringify(props.prefix)}: it must neither be empty nor begin or end with a slash`);
    }
    this.layer = lambda.LayerVersion.fromLayerVersionArn(this, "Layer", props.layerArn);
  }

  /** Lets the logs of the function go to the bucket. Its code must be a zip: images have no layers. */
  addTo(target: lambda.Function): void {
    target.addLayers(this.layer);
    for (const [name, value] of Object.entries(this.environment())) {
      target.addEnvironment(name, value);
    }
    for (const statement of this.statements()) {
      target.addToRolePolicy(statement);
    }
  }

  private environment(): Record<string, string> {
    const { bucket, prefix, key, bucketOwner, tags, settings } = this.props;
    const environment: Record<string, string> = { LOGSPOOL_DESTINATION: `s3://${bucket.bucketName}/${prefix}` };
    if (bucketOwner) environment.LOGSPOOL_S3_BUCKET_OWNER = bucketOwner;
    if (key) environment.LOGSPOOL_S3_KMS_KEY_ID = key.keyArn;
    if (tags) environment.LOGSPOOL_S3_TAGS = Object.entries(tags).map((tag) => tag.join("=")).join(",");
    for (const [name, value] of Object.entries(settings ?? {})) {
      environment[`LOGSPOOL_${name}`] = value;
    }
    return environment;
  }

  /** What ../iam says; less than `bucket.grantPut`, which also allows what the extension never does. */
  private statements(): iam.PolicyStatement[] {
    const { bucket, prefix, key, tags, cloudWatch } = this.props;
    const objects = [bucket.arnForObjects(`${prefix}/*`)];
    const statements = [
      new iam.PolicyStatement({ sid: "LogspoolWrites", actions: ["s3:PutObject"], resources: objects }),
    ];
    if (key) {
      const resources = [key.keyArn];
      statements.push(new iam.PolicyStatement({ sid: "LogspoolEncrypts", actions: ["kms:GenerateDataKey"], resources }));
    }
    if (tags) {
      statements.push(new iam.PolicyStatement({ sid: "LogspoolTags", actions: ["s3:PutObjectTagging"], resources: objects }));
    }
    if (!cloudWatch) {
      // A denial, since CDK gives every role that it makes AWSLambdaBasicExecutionRole, which allows it.
      statements.push(
        new iam.PolicyStatement({
          sid: "LogspoolInstead",
          effect: iam.Effect.DENY,
          actions: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
          resources: ["*"],
        }),
      );
    }
    return statements;
  }
}
