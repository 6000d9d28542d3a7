use super::*;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn source(id: &str, secret: &str, token: Option<&str>) -> CredentialSource {
    CredentialSource::from_values(some(id), some(secret), token.map(str::to_owned))
}

fn environment(source: CredentialSource) -> Arc<AccessKeys> {
    match source {
        CredentialSource::Environment(keys) => keys,
        other => panic!("not of the environment: {other:?}"),
    }
}

#[test]
fn an_empty_session_token_counts_as_none() {
    for token in [None, Some("")] {
        let keys = environment(source("id", "secret", token)).to_sdk();
        assert_eq!(keys.session_token(), None);
    }
    let keys = environment(source("id", "secret", Some("token"))).to_sdk();
    assert_eq!((keys.access_key_id(), keys.secret_access_key(), keys.session_token()), ("id", "secret", Some("token")));
}

#[test]
fn a_complete_pair_comes_first_then_the_full_then_the_relative_uri() {
    let all = || CredentialValues {
        access_key_id: some("id"),
        secret_access_key: some("secret"),
        session_token: some("token"),
        container_full_uri: some("http://localhost/full"),
        container_relative_uri: some("/relative"),
        container_token: some("t"),
        container_token_file: some("/file"),
    };
    let empty = |value: &mut Option<String>| *value = some("");
    assert!(matches!(CredentialSource::choose(all()), CredentialSource::Outlived(..)));
    let alone = CredentialValues { container_full_uri: None, container_relative_uri: None, ..all() };
    assert!(matches!(CredentialSource::choose(alone), CredentialSource::Environment(_)));

    let mut values = all();
    empty(&mut values.secret_access_key);
    let CredentialSource::Container(full) = CredentialSource::choose(values.clone()) else {
        panic!("half a pair is none");
    };
    assert_eq!(full.uri(), "http://localhost/full");

    for path in ["/relative", "relative"] {
        values.container_full_uri = None;
        values.container_relative_uri = some(path);
        let CredentialSource::Container(relative) = CredentialSource::choose(values.clone()) else {
            panic!("a path is enough");
        };
        assert_eq!(relative.uri(), "http://169.254.170.2/relative");
    }

    empty(&mut values.container_relative_uri);
    let CredentialSource::Missing { variables } = CredentialSource::choose(values) else {
        panic!("a token alone leads nowhere");
    };
    assert_eq!(variables, [SECRET_ACCESS_KEY]);
}

#[test]
fn no_secret_is_printed() {
    let values = CredentialValues {
        access_key_id: some("AKIDEXAMPLE"),
        secret_access_key: some("s3cr3t"),
        session_token: some("t0k3n"),
        container_full_uri: some("http://localhost/?key=s3cr3t"),
        container_token: some("c0nt41n3r"),
        ..CredentialValues::default()
    };
    let pair = CredentialSource::choose(values.clone());
    let container = CredentialSource::choose(CredentialValues { access_key_id: None, ..values.clone() });
    let role = pair.clone().with_role(RoleSettings {
        role_arn: "arn:aws:iam::1:role/r".to_owned(),
        external_id: some("3xt3rn4l"),
        session_name: "s".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint: None,
    });
    let printed = format!("{values:?} {pair:?} {container:?} {role:?}");
    assert!(printed.contains("arn:aws:iam::1:role/r"), "{printed}");
    for secret in ["s3cr3t", "t0k3n", "c0nt41n3r", "3xt3rn4l"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}
