//! The examples of `deploy/`: their own linters find nothing, the settings in them are settings that this version has, and
//! each allows what `deploy/iam` says, no more and no less. `tests/deploy/prepare` makes the linters ready; what is not ready
//! is skipped and says so.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod prepared;

#[path = "deploy/examples.rs"]
mod examples;
#[path = "deploy/linters.rs"]
mod linters;
#[path = "deploy/policies.rs"]
mod policies;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use examples::{ALL, Choice, Example, PLAIN};
use logspool::config::Config;
use policies::{POLICIES, named, statements};
use prepared::{prepared, say_skipped};
use serde_json::{Value, json};

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// What `prepare` has made ready; that it has not is said.
fn tool(name: &str) -> Option<PathBuf> {
    let tool = prepared(&format!("deploy/{name}"), &format!("tests/deploy/prepare {name}"));
    tool.map_err(|why| say_skipped(&format!("{name}: {why}"))).ok()
}

/// The files below a folder of `deploy/` with one of these endings.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(shipped(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|is| is == ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no .{ending}");
    files
}

/// # Errors
/// What the extension would say about these variables.
fn accepted(environment: &BTreeMap<String, String>) -> Result<(), String> {
    let (config, errors) = Config::read(environment);
    match config.delivery {
        _ if !errors.is_empty() => Err(errors.to_string()),
        None => Err("no destination".to_owned()),
        Some(_) => Ok(()),
    }
}

/// # Errors
/// In what an example is not what was chosen.
fn agrees(example: &Example, choice: &Choice) -> Result<(), String> {
    accepted(&example.environment)?;
    if example.environment != choice.environment() {
        return Err(format!("it sets {:#?}", example.environment));
    }
    let expected: Vec<Value> = choice.policies().into_iter().flat_map(|name| statements(&named(name))).collect();
    let given = statements(&example.policy);
    if given != expected {
        return Err(format!("it allows {given:#?} instead of {expected:#?}"));
    }
    Ok(())
}

#[track_caller]
fn agree(examples: &[Example], choice: &Choice) {
    assert!(!examples.is_empty(), "an example has a function");
    for example in examples {
        agrees(example, choice).unwrap_or_else(|why| panic!("{choice:?}: {why}"));
    }
}

#[test]
fn cfn_lint_finds_nothing_in_the_templates() {
    let Some(lint) = tool("cfn-lint") else { return };
    for template in files("sam", "yaml").into_iter().chain(files("cloudformation", "yaml")) {
        linters::cfn_lint(&lint, &template, &[]).unwrap();
    }
}

#[test]
fn cfn_lint_finds_a_wrong_property() {
    let Some(lint) = tool("cfn-lint") else { return };
    let directory = tempfile::tempdir().unwrap();
    for (file, right, wrong) in [
        ("sam/template.yaml", "MemorySize:", "Memory:"),
        ("cloudformation/bucket.yaml", "ExpirationInDays:", "ExpireInDays:"),
        ("cloudformation/vpc.yaml", "VpcEndpointType: Gateway", "VpcEndpointType: Gate"),
    ] {
        let copy = directory.path().join("template.yaml");
        let template = fs::read_to_string(shipped(file)).unwrap();
        assert!(template.contains(right), "{file} has {right}");
        fs::write(&copy, template.replace(right, wrong)).unwrap();
        assert!(linters::cfn_lint(&lint, &copy, &[]).is_err(), "{file}: {wrong}");
    }
}

#[test]
fn sam_sets_and_allows_what_was_chosen() {
    let Some(lint) = tool("cfn-lint") else { return };
    for choice in [PLAIN, ALL] {
        agree(&examples::sam(&lint, &choice), &choice);
    }
}

/// One test, since the type check takes half a minute.
#[test]
fn cdk_is_type_checked_and_its_functions_get_what_was_chosen() {
    let (Some(cdk), Some(lint)) = (tool("cdk"), tool("cfn-lint")) else { return };
    let built = linters::Built::new(&cdk).unwrap();
    for choice in [PLAIN, ALL] {
        let template = built.template(&choice.cdk_context()).unwrap();
        // CDK writes a `DependsOn` beside every reference to a role.
        linters::cfn_lint(&lint, &template, &["W3005"]).unwrap();
        agree(&examples::cdk(&lint, &template), &choice);
    }
    for prefix in ["", "/logs", "logs/"] {
        let mut context = PLAIN.cdk_context();
        context["prefix"] = json!(prefix);
        let refused = built.template(&context).unwrap_err();
        assert!(refused.contains("it must neither be empty nor begin or end with a slash"), "{prefix:?}: {refused}");
    }
    let refused = built.check_with("target.addLayers(", "target.addLayer(").unwrap_err();
    assert!(refused.contains("'addLayer' does not exist"), "{refused}");
}

#[test]
fn terraform_files_are_formatted() {
    if tool("terraform").is_none() {
        return;
    }
    linters::formatted(&shipped("terraform")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("main.tf"), "locals {\nname=1\n}\n").unwrap();
    assert!(linters::formatted(directory.path()).unwrap_err().contains("main.tf"));
}

#[test]
fn terraform_gives_what_was_chosen() {
    if tool("terraform").is_none() {
        return;
    }
    for choice in [PLAIN, ALL] {
        agree(&[examples::terraform(&choice.terraform_arguments()).unwrap()], &choice);
    }
    let mut arguments = PLAIN.terraform_arguments();
    arguments["settings"] = json!({"SEAL_AGE": "5m", "INVOCATIONS": "true"});
    let further = examples::terraform(&arguments).unwrap().environment;
    assert_eq!((further["LOGSPOOL_SEAL_AGE"].as_str(), further["LOGSPOOL_INVOCATIONS"].as_str()), ("5m", "true"));
    accepted(&further).unwrap();
    for prefix in ["", "/logs", "logs/"] {
        arguments["prefix"] = json!(prefix);
        let refused = examples::terraform(&arguments).map(drop).unwrap_err();
        assert!(refused.contains("It must neither be empty nor begin or end with a slash."), "{prefix:?}: {refused}");
    }
}

#[test]
fn terraform_validates_the_modules_with_the_provider_of_aws() {
    if let Some(provider) = tool("provider") {
        linters::valid(&provider, &shipped("terraform")).unwrap();
    }
}

#[test]
fn bucket_key_and_endpoint_of_terraform_have_the_policies_of_deploy_iam() {
    if tool("terraform").is_none() {
        return;
    }
    for (file, names) in [("bucket/main.tf", vec!["key", "bucket"]), ("example/network.tf", vec!["endpoint"])] {
        let policies = examples::terraform_policies(file);
        let given: Vec<_> = policies.as_array().unwrap().iter().map(statements).collect();
        assert_eq!(given, names.into_iter().map(|name| statements(&named(name))).collect::<Vec<_>>(), "{file}");
    }
}

#[test]
fn bucket_key_and_endpoint_of_cloudformation_have_the_policies_of_deploy_iam() {
    let Some(lint) = tool("cfn-lint") else { return };
    let accounts = json!({"OtherAccounts": "444455556666,777788889999", "Encryption": "kms"});
    let bucket = examples::resolved(&lint, &shipped("cloudformation/bucket.yaml"), &accounts);
    let network = examples::resolved(&lint, &shipped("cloudformation/vpc.yaml"), &json!({}));
    for (template, resource, property, name) in [
        (&bucket, "BucketPolicy", "PolicyDocument", "bucket"),
        (&bucket, "Key", "KeyPolicy", "key"),
        (&network, "S3Endpoint", "PolicyDocument", "endpoint"),
    ] {
        let policy = &template["Resources"][resource]["Properties"][property];
        assert_eq!(statements(policy), statements(&named(name)), "{name}");
    }
    let alone = examples::resolved(&lint, &shipped("cloudformation/bucket.yaml"), &json!({}));
    assert!(alone["Resources"]["Key"].is_null());
    assert_eq!(statements(&alone["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]).len(), 2);
}

#[test]
fn policies_allow_what_the_extension_does_and_nothing_else() {
    let files = files("iam", "json");
    let names: BTreeSet<_> = files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, POLICIES.map(|(name, _)| name).into(), "each policy is known here");
    for (name, allowed) in POLICIES {
        let policy = named(name);
        assert_eq!(policy["Version"], "2012-10-17", "{name}");
        assert_eq!(policies::actions(&policy), allowed.iter().map(|&action| action.to_owned()).collect(), "{name}");
    }
}

/// What the comparisons above are worth.
#[test]
fn an_unknown_variable_a_bad_value_and_a_changed_policy_are_noticed() {
    let example = || {
        let statements: Vec<_> = ALL.policies().into_iter().flat_map(|name| statements(&named(name))).collect();
        Example { environment: ALL.environment(), policy: json!({ "Statement": statements }) }
    };
    agrees(&example(), &ALL).unwrap();
    let told = |change: &dyn Fn(&mut Example)| {
        let mut example = example();
        change(&mut example);
        agrees(&example, &ALL).unwrap_err()
    };
    let set = |name: &str, value: &str| told(&|example| drop(example.environment.insert(name.into(), value.into())));
    assert!(set("LOGSPOOL_SEAL_AGES", "1m").contains("there is no such setting"));
    assert!(set("LOGSPOOL_SEAL_AGE", "soon").contains("a duration"));
    assert!(set("LOGSPOOL_DESTINATION", "your-bucket").contains("is expected"));
    assert!(set("LOGSPOOL_SEAL_AGE", "1m").contains("it sets"));
    let change =
        |pointer: &str, value: Value| told(&|example| *example.policy.pointer_mut(pointer).unwrap() = value.clone());
    assert!(change("/Statement/0/Action", json!(["s3:GetObject", "s3:PutObject"])).contains("it allows"));
    assert!(change("/Statement/0/Resource", json!("*")).contains("it allows"));
    assert!(change("/Statement/3/Effect", json!("Allow")).contains("it allows"));
}
