//! Who may call, and for which region. `s3s` checks the signature itself.

use super::answer::ErrorAnswer;
use async_trait::async_trait;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use s3s::auth::{S3Auth, SecretKey, SimpleAuth};
use s3s::{S3Result, s3_error};

/// One key pair; a key id that is not known is answered as AWS does.
pub(super) struct KeyPair(SimpleAuth);

impl KeyPair {
    pub(super) fn new(access_key_id: &str, secret_access_key: &str) -> Self {
        Self(SimpleAuth::from_single(access_key_id, secret_access_key))
    }
}

#[async_trait]
impl S3Auth for KeyPair {
    async fn get_secret_key(&self, access_key_id: &str) -> S3Result<SecretKey> {
        // `SimpleAuth` itself would say `NotSignedUp`, which AWS keeps for accounts without a subscription.
        self.0.lookup(access_key_id).cloned().ok_or_else(|| {
            s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
        })
    }
}

/// The signature covers the region it names, whatever that is; that it is the bucket's is for the service to check.
pub(super) fn check_region(headers: &HeaderMap, region: &str) -> Result<(), ErrorAnswer> {
    match signed_region(headers) {
        Some(signed) if signed != region => Err(ErrorAnswer::wrong_region(signed, region)),
        _ => Ok(()),
    }
}

/// The region of `Credential=<key id>/<date>/<region>/<service>/aws4_request`, if the request carries one.
fn signed_region(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    let (credential, _) = credential.split_once(',')?;
    credential.split('/').nth(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_the_credential_scope() {
        let region = |authorization: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, authorization.parse().expect("a header value"));
            signed_region(&headers).map(str::to_owned)
        };
        let signed = "AWS4-HMAC-SHA256 Credential=AKIA/20261123/eu-west-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=00";
        assert_eq!(region(signed).as_deref(), Some("eu-west-1"));
        assert_eq!(region("AWS AKIA:signature"), None);
        assert_eq!(region("AWS4-HMAC-SHA256 Credential=AKIA, Signature=00"), None);
        assert_eq!(signed_region(&HeaderMap::new()), None);
    }
}
