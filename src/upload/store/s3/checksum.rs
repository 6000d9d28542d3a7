//! What the store checks the bytes by, as a header.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

use super::super::Object;
use super::settings::Checksum;

/// A checksum in the form of its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Crc64Nvme(String),
    Crc32(String),
    ContentMd5(String),
}

/// The digest in the key is there already. Any other one takes a reading of the bytes before they are sent.
///
/// # Errors
/// Bytes that cannot be read.
pub(super) async fn header(checksum: Checksum, object: &Object<'_>) -> io::Result<Option<Header>> {
    Ok(Some(match checksum {
        Checksum::None => return Ok(None),
        Checksum::Crc64Nvme => Header::Crc64Nvme(BASE64.encode(object.crc64_nvme.to_be_bytes())),
        Checksum::Crc32 => {
            let mut crc32 = crc32fast::Hasher::new();
            read(object, |bytes| crc32.update(bytes)).await?;
            Header::Crc32(BASE64.encode(crc32.finalize().to_be_bytes()))
        }
        Checksum::Md5 => {
            let mut md5 = Md5::new();
            read(object, |bytes| md5.update(bytes)).await?;
            Header::ContentMd5(BASE64.encode(md5.finalize()))
        }
    }))
}

/// Others get their turn between two chunks: telemetry waits for no checksum.
async fn read(object: &Object<'_>, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    for chunk in object.body.chunks() {
        take(&chunk?);
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::test_body::TestBody;
    use super::*;

    #[tokio::test]
    async fn a_checksum_is_the_base64_of_its_big_endian_bytes() {
        // The check values of the CRC catalogue, and of RFC 1321's test suite.
        let digits = TestBody::new("123456789");
        let object = digits.object("k");
        let table = [
            (Checksum::Crc64Nvme, Some(Header::Crc64Nvme(BASE64.encode(0xae8b_1486_0a79_9888_u64.to_be_bytes())))),
            (Checksum::Crc32, Some(Header::Crc32(BASE64.encode(0xcbf4_3926_u32.to_be_bytes())))),
            (Checksum::None, None),
        ];
        for (checksum, expected) in table {
            assert_eq!(header(checksum, &object).await.expect("readable"), expected);
        }
        let text = TestBody::new("message digest");
        let md5 = header(Checksum::Md5, &text.object("k")).await.expect("readable");
        let expected = 0xf96b_697d_7cb7_938d_525a_2f31_aaf1_61d0_u128.to_be_bytes();
        assert_eq!(md5, Some(Header::ContentMd5(BASE64.encode(expected))));
        let long = TestBody::new("line\n".repeat(40_000));
        let whole = crc32fast::hash("line\n".repeat(40_000).as_bytes());
        let crc32 = header(Checksum::Crc32, &long.object("k")).await.expect("readable");
        assert_eq!(crc32, Some(Header::Crc32(BASE64.encode(whole.to_be_bytes()))), "of all chunks");
    }

    #[tokio::test]
    async fn bytes_that_cannot_be_read_have_no_checksum() {
        let body = TestBody::breaking_at("line\n".repeat(40_000), 1);
        let object = body.object("k");
        assert!(header(Checksum::Md5, &object).await.is_err());
        assert!(header(Checksum::Crc32, &object).await.is_err());
        assert!(header(Checksum::Crc64Nvme, &object).await.is_ok(), "it is known already");
    }
}
