//! One object: what its key says, and its lines, counted in the decoded bytes and not taken from any metadata.

use std::io::Read;

use ruzstd::decoding::StreamingDecoder;
use sandbox::s3::StoredObject;

const HOUR: &str = "hour=";
/// A spool id is a ULID.
const LIFE_CHARACTERS: usize = 26;
/// Two numbers of twelve digits, each behind a dash.
const RANGE_CHARACTERS: usize = 26;
const DIGEST_CHARACTERS: usize = 17;

/// An object as a row of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// The whole key.
    pub key: String,
    /// Length of the object.
    pub stored_bytes: usize,
    /// Why the segment was closed.
    pub seal: String,
    /// The decoded lines. Empty if the object cannot be read; the oracle then says so.
    pub text: String,
}

impl Object {
    /// Decodes an object of the bucket.
    pub fn new(stored: &StoredObject) -> Self {
        let seal = stored.metadata.get("logspool-seal").map_or("unknown", String::as_str);
        Self {
            key: stored.key.clone(),
            stored_bytes: stored.bytes.len(),
            seal: seal.trim_end_matches("_end").to_owned(),
            text: decode(&stored.bytes).unwrap_or_default(),
        }
    }

    /// How many lines it holds.
    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Length of its lines.
    pub fn raw_bytes(&self) -> usize {
        self.text.len()
    }

    /// The folder of its day.
    pub fn day_folder(&self) -> &str {
        self.key.split(HOUR).next().unwrap_or_default()
    }

    /// The life that wrote it.
    pub fn life(&self) -> &str {
        self.file_name().get(..LIFE_CHARACTERS).unwrap_or_default()
    }

    fn file_name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }

    /// Hour folder and file name, shortened to `width` as well as possible. Row by row the life is the same, so it goes
    /// first; the numbers and the mark of the end stay longest.
    pub fn name(&self, width: usize) -> String {
        let folder = self.key.rsplit('/').nth(1).unwrap_or_default();
        let whole = format!("{folder}/{}", self.file_name());
        let Some((numbers, digest, mark, extension)) = self.parts() else { return whole };
        let hour = folder.strip_prefix(HOUR).unwrap_or(folder);
        let candidates = [
            whole,
            format!("{folder}/…-{numbers}{digest}{mark}{extension}"),
            format!("{folder}/…-{numbers}{mark}"),
            format!("{hour}/…-{numbers}{mark}"),
            format!("{hour}/…{numbers}{mark}"),
        ];
        let fits = |name: &&String| name.chars().count() <= width;
        candidates.iter().find(fits).or(candidates.last()).cloned().unwrap_or_default()
    }

    /// Numbers, digest, mark and extension of `<life>-<first>-<last>-<digest>[-end].ndjson.zst`.
    fn parts(&self) -> Option<(&str, &str, &str, &str)> {
        let numbers = self.file_name().get(LIFE_CHARACTERS..)?;
        let (numbers, rest) = numbers.split_at_checked(RANGE_CHARACTERS)?;
        let (digest, rest) = rest.split_at_checked(DIGEST_CHARACTERS)?;
        let (mark, extension) = rest.split_at(rest.find('.')?);
        Some((numbers.strip_prefix('-')?, digest, mark, extension))
    }
}

/// All frames, though by default there is one.
fn decode(bytes: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        StreamingDecoder::new(&mut rest).ok()?.read_to_end(&mut text).ok()?;
    }
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: &str = "01M83JJT8M80A5G1MBCCH995BQ";

    fn object(mark: &str) -> Object {
        let file = format!("{LIFE}-000000000012-000000000019-adf59bc7a83fe2f1{mark}.ndjson.zst");
        Object { key: format!("function=demo/dt=2026-11-23/hour=06/{file}"), ..Object::default() }
    }

    #[test]
    fn a_name_says_what_fits() {
        let cases = [
            (120, "hour=06/01M83JJT8M80A5G1MBCCH995BQ-000000000012-000000000019-adf59bc7a83fe2f1-end.ndjson.zst"),
            (80, "hour=06/…-000000000012-000000000019-adf59bc7a83fe2f1-end.ndjson.zst"),
            (60, "hour=06/…-000000000012-000000000019-end"),
            (34, "06/…-000000000012-000000000019-end"),
            (10, "06/…000000000012-000000000019-end"),
        ];
        for (width, name) in cases {
            assert_eq!(object("-end").name(width), name);
        }
        assert_eq!(object("").name(34), "06/…-000000000012-000000000019");
        assert_eq!((object("").life(), object("").day_folder()), (LIFE, "function=demo/dt=2026-11-23/"));
    }

    #[test]
    fn an_odd_name_is_shown_as_it_is() {
        let odd = Object { key: "somewhere/else.txt".into(), ..Object::default() };
        assert_eq!((odd.name(5), odd.life()), ("somewhere/else.txt".into(), ""));
    }

    #[test]
    fn what_cannot_be_decoded_has_no_lines() {
        assert_eq!(decode(b"no zstd"), None);
        assert_eq!(decode(b""), Some(String::new()));
    }
}
