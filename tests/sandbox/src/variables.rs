//! The environment variables of extension and function (Lambda guide, "Defined runtime environment variables").
//!
//! An extension sees less than the function: no handler, no task root, no log group or stream, nothing that begins with
//! an underscore. From the sandbox's own environment only `PATH` is passed on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use crate::roles;
use crate::settings::Settings;

const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// Credentials that no service accepts: a test that needs valid ones sets them.
const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIASANDBOX000000000"),
    ("AWS_SECRET_ACCESS_KEY", "sandbox-secret-access-key"),
    ("AWS_SESSION_TOKEN", "sandbox-session-token"),
];

/// What the endpoint of credentials wants to be told.
pub(crate) const CREDENTIALS_TOKEN: &str = "sandbox-credentials-token";

/// Id, secret and session token: those of the extension's variables, where it has some.
pub(crate) fn credentials(settings: &Settings) -> [&str; 3] {
    CREDENTIALS.map(|(name, value)| settings.extension_variables.get(name).map_or(value, String::as_str))
}
/// What an emulator may not set, though Lambda does.
pub(crate) const UNKNOWN_TO_EMULATORS: [&str; 9] = [
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

pub(crate) fn of_extension(settings: &Settings, api: SocketAddr, tmp: &Path) -> BTreeMap<String, String> {
    let mut variables = of_both(settings, api, tmp);
    variables.insert(RUNTIME_API.to_owned(), settings.address.of(api));
    variables.retain(|name, _| !settings.withheld_variables.contains(name));
    let own = settings.extension_variables.iter().filter(|(name, _)| !name.starts_with('_'));
    variables.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    if settings.snap_start {
        variables.retain(|name, _| !CREDENTIALS.iter().any(|(credential, _)| name == credential));
        let endpoint = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{api}/2021-04-23/credentials")),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", CREDENTIALS_TOKEN.to_owned()),
        ];
        variables.extend(endpoint.map(|(name, value)| (name.to_owned(), value)));
    }
    let role = settings.reference_extension.map(|kind| (roles::ROLE.to_owned(), roles::of(kind).to_owned()));
    variables.extend(role);
    variables
}

pub(crate) fn of_function(settings: &Settings, api: SocketAddr, tmp: &Path) -> BTreeMap<String, String> {
    let mut variables = of_both(settings, api, tmp);
    let name = &settings.function_name;
    let only_the_function = [
        ("_HANDLER", settings.handler.clone()),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_sandbox".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", settings.delivery.log_format.variable().to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", format!("2026/01/01/[{}]sandbox", settings.function_version)),
    ];
    variables.extend(only_the_function.map(|(name, value)| (name.to_owned(), value)));
    let concurrency = settings.managed.map(|most| ("AWS_LAMBDA_MAX_CONCURRENCY".to_owned(), most.to_string()));
    variables.extend(concurrency);
    variables.extend(settings.function.variables());
    variables
}

fn of_both(settings: &Settings, api: SocketAddr, tmp: &Path) -> BTreeMap<String, String> {
    let lambda = [
        (RUNTIME_API, api.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", settings.function_name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", settings.function_version.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", settings.memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", settings.initialization_type.clone()),
        ("AWS_REGION", settings.region.clone()),
        ("AWS_DEFAULT_REGION", settings.region.clone()),
        ("TZ", ":UTC".to_owned()),
        ("TMPDIR", tmp.display().to_string()),
    ];
    let mut variables: BTreeMap<String, String> =
        lambda.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    variables.extend(CREDENTIALS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables.extend(std::env::var("PATH").map(|path| ("PATH".to_owned(), path)));
    variables
}
