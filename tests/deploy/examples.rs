//! What the examples give to functions, got from the tools that would deploy them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::linters::{said, terraform_in};
use super::shipped;

/// What somebody wants of an example.
#[derive(Debug)]
pub struct Choice {
    everything: bool,
}

/// Nothing but the destination; CloudWatch stays.
pub const PLAIN: Choice = Choice { everything: false };

/// Key, tags, owner of the bucket; without CloudWatch.
pub const ALL: Choice = Choice { everything: true };

const LAYER: &str = "arn:aws:lambda:eu-central-1:111122223333:layer:logspool:1";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OWNER: &str = "111122223333";

impl Choice {
    /// The variables that a function must get.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let optional = [
            ("LOGSPOOL_S3_BUCKET_OWNER", OWNER),
            ("LOGSPOOL_S3_KMS_KEY_ID", KEY),
            ("LOGSPOOL_S3_TAGS", "team=payments"),
        ];
        let always = [("LOGSPOOL_DESTINATION", "s3://your-bucket/your-prefix")];
        let all = always.into_iter().chain(optional.into_iter().filter(|_| self.everything));
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// What of `deploy/iam` its role must get, in order.
    pub fn policies(&self) -> Vec<&'static str> {
        match self.everything {
            true => vec!["function", "function-kms", "function-tags", "function-without-cloudwatch"],
            false => vec!["function"],
        }
    }

    fn sam_parameters(&self) -> Value {
        match self.everything {
            true => json!({"LayerArn": LAYER, "BucketOwner": OWNER, "KeyArn": KEY, "Tags": "team=payments"}),
            false => json!({"LayerArn": LAYER, "CloudWatch": "on"}),
        }
    }

    pub fn cdk_context(&self) -> Value {
        let bucket = "your-bucket";
        match self.everything {
            true => {
                json!({"layerArn": LAYER, "bucket": bucket, "bucketOwner": OWNER, "keyArn": KEY, "team": "payments"})
            }
            false => json!({"layerArn": LAYER, "bucket": bucket, "cloudWatch": "on"}),
        }
    }

    pub fn terraform_arguments(&self) -> Value {
        let mut arguments = json!({"layer_arn": LAYER, "bucket": "your-bucket", "prefix": "your-prefix"});
        let optional = match self.everything {
            true => {
                json!({"bucket_owner": OWNER, "key_arn": "${terraform_data.key.output}", "tags": {"team": "payments"}})
            }
            false => json!({"cloudwatch": true}),
        };
        arguments.as_object_mut().unwrap().extend(optional.as_object().unwrap().clone());
        arguments
    }
}

/// What one function gets.
pub struct Example {
    pub environment: BTreeMap<String, String>,
    /// Of its role.
    pub policy: Value,
}

fn environment(variables: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(variables.clone()).unwrap_or_else(|error| panic!("{error} in {variables}"))
}

/// What a template comes to. `lint` is where `cfn-lint` is, whose parser reads it.
pub fn resolved(lint: &Path, template: &Path, parameters: &Value) -> Value {
    let mut command = Command::new(lint.join("bin/python3"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/resolve.py");
    command.arg(script).arg(template).arg(parameters.to_string());
    // The name of the bucket is chosen, so its ARN is known.
    let resolved = said(&mut command).unwrap().replace("<Bucket.Arn>", "arn:aws:s3:::your-bucket");
    serde_json::from_str(&resolved).unwrap()
}

fn of_type<'a>(template: &'a Value, kind: &str) -> Map<String, Value> {
    let resources: &'a Map<_, _> = template["Resources"].as_object().unwrap();
    let of_type = resources.iter().filter(|(_, resource)| resource["Type"] == kind);
    of_type.map(|(name, resource)| (name.clone(), resource["Properties"].clone())).collect()
}

/// The functions of the SAM template. What they have in common stands in its globals.
pub fn sam(lint: &Path, choice: &Choice) -> Vec<Example> {
    let template = resolved(lint, &shipped("sam/template.yaml"), &choice.sam_parameters());
    let policies = of_type(&template, "AWS::IAM::ManagedPolicy");
    let globals = &template["Globals"]["Function"];
    assert_eq!(globals["Layers"], json!([LAYER]));
    let functions = of_type(&template, "AWS::Serverless::Function");
    let example = |function: &Value| {
        assert!(function["Layers"].is_null() && function["Environment"].is_null(), "the globals hold");
        let [policy] = function["Policies"].as_array().unwrap().as_slice() else { panic!("one policy") };
        let policy = policies[policy.as_str().unwrap().trim_matches(['<', '>'])]["PolicyDocument"].clone();
        Example { environment: environment(&globals["Environment"]["Variables"]), policy }
    };
    functions.values().map(example).collect()
}

/// The functions of what the example of CDK has made.
pub fn cdk(lint: &Path, template: &Path) -> Vec<Example> {
    let template = resolved(lint, template, &json!({}));
    let policies = of_type(&template, "AWS::IAM::Policy");
    let functions = of_type(&template, "AWS::Lambda::Function");
    let example = |function: &Value| {
        assert_eq!(function["Layers"], json!([LAYER]));
        let role = json!(function["Role"].as_str().unwrap().replace(".Arn", ""));
        let policy = policies.values().find(|policy| policy["Roles"].as_array().unwrap().contains(&role)).unwrap();
        Example {
            environment: environment(&function["Environment"]["Variables"]),
            policy: policy["PolicyDocument"].clone(),
        }
    };
    functions.values().map(example).collect()
}

/// What Terraform's module `logspool` puts out. It makes nothing, so it can be applied.
///
/// # Errors
/// What Terraform complains about.
pub fn terraform(arguments: &Value) -> Result<Example, String> {
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("logspool");
    fs::create_dir(&module).unwrap();
    for file in super::files("terraform/logspool", "tf") {
        fs::copy(&file, module.join(file.file_name().unwrap())).unwrap();
    }
    let mut call = arguments.clone();
    call["source"] = json!("./logspool");
    // As with a bucket that the same run makes, the key is not known before it is there.
    let key = json!({"terraform_data": {"key": {"input": KEY}}});
    let root =
        json!({"resource": key, "module": {"logspool": call}, "output": {"made": {"value": "${module.logspool}"}}});
    fs::write(directory.path().join("main.tf.json"), root.to_string()).unwrap();
    let made = applied(directory.path())?;
    assert_eq!(made["layers"], json!([LAYER]));
    let policy = serde_json::from_str(made["policy"].as_str().unwrap()).unwrap();
    Ok(Example { environment: environment(&made["environment"]), policy })
}

/// The policies in a module of Terraform that makes things, in the order of the text. It cannot be evaluated without the
/// provider, so each is evaluated by itself; what the module knows of its surroundings is told here.
pub fn terraform_policies(file: &str) -> Value {
    let known = [
        ("aws_s3_bucket.this.arn", "\"arn:aws:s3:::your-bucket\""),
        ("data.aws_partition.this.partition", "\"aws\""),
        ("data.aws_caller_identity.this.account_id", "\"111122223333\""),
        ("local.other_accounts", "true"),
        ("var.other_accounts", "[\"444455556666\", \"777788889999\"]"),
        ("var.bucket", "\"your-bucket\""),
        ("var.prefix", "\"your-prefix\""),
    ];
    let mut module = fs::read_to_string(shipped("terraform").join(file)).unwrap();
    for (reference, value) in known {
        module = module.replace(reference, value);
    }
    let policies = module.split(" policy = jsonencode(").skip(1);
    let policies: Vec<_> = policies.map(|policy| policy.split_once("\n  })\n").expect("it ends").0).collect();
    let directory = tempfile::tempdir().unwrap();
    let root = format!("output \"made\" {{\n  value = [{}\n  }}]\n}}\n", policies.join("\n  },\n"));
    fs::write(directory.path().join("main.tf"), root).unwrap();
    applied(directory.path()).unwrap()
}

/// The output `made` of a root module that makes nothing outside.
fn applied(root: &Path) -> Result<Value, String> {
    said(terraform_in(root).args(["init", "-input=false", "-no-color"]))?;
    said(terraform_in(root).args(["apply", "-auto-approve", "-input=false", "-no-color"]))?;
    let made = said(terraform_in(root).args(["output", "-json", "made"]))?;
    Ok(serde_json::from_str(&made).unwrap())
}
