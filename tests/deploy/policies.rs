//! The policies of `deploy/iam`, and policies in one form, so that they can be compared.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

/// Each policy, and the actions that stand in it: what the extension does, what keeps CloudWatch out, what a reader needs.
pub const POLICIES: [(&str, &[&str]); 9] = [
    // `s3:*` is denied there, for what is not encrypted.
    ("bucket", &["s3:*", "s3:PutObject"]),
    ("endpoint", &["s3:PutObject", "s3:PutObjectTagging"]),
    ("function", &["s3:PutObject"]),
    ("function-assume-role", &["sts:AssumeRole"]),
    ("function-kms", &["kms:GenerateDataKey"]),
    ("function-tags", &["s3:PutObjectTagging"]),
    ("function-without-cloudwatch", &["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]),
    // A key that its own account cannot administer could not be changed or deleted by anybody.
    ("key", &["kms:*", "kms:GenerateDataKey"]),
    ("reader", &["kms:Decrypt", "s3:GetObject", "s3:ListBucket"]),
];

/// A policy of `deploy/iam`.
pub fn named(name: &str) -> Value {
    let text = fs::read_to_string(super::shipped(&format!("iam/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Its statements, with sorted lists where a text may stand for a list of one.
pub fn statements(policy: &Value) -> Vec<Value> {
    let mut statements = policy["Statement"].as_array().expect("a list of statements").clone();
    for statement in &mut statements {
        for pointer in ["/Action", "/Resource", "/Principal/AWS"] {
            if let Some(value) = statement.pointer_mut(pointer) {
                *value = json!(texts(value));
            }
        }
    }
    statements
}

fn texts(value: &Value) -> BTreeSet<String> {
    let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    texts.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// All actions that stand in a policy.
pub fn actions(policy: &Value) -> BTreeSet<String> {
    statements(policy).iter().flat_map(|statement| texts(&statement["Action"])).collect()
}
