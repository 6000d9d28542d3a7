//! Spools that were written once and are adopted for ever after, to exactly the objects that stand beside them.
//!
//! `fixtures/<format>/<codec>-<ending>/` holds a spool root; `objects.txt` beside it what an adopter delivers: names (with
//! digests), ranges, losses, the end. `SPOOL_TEST_BLESS=1` writes them anew: only for a new format version, in a new folder.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod model_world;

use std::fs;
use std::path::{Path, PathBuf};

use spool::{Codec, Compression};

use model_world::bucket::Bucket;
use model_world::written::{Ending, write};
use model_world::{copy, labeler, only_orphan};

const CODECS: [(&str, Codec); 3] = [("zstd", Codec::Zstd), ("gzip", Codec::Gzip), ("none", Codec::None)];
const ENDINGS: [(&str, Ending); 2] = [("closed", Ending::Closed), ("crashed", Ending::Crashed)];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name)
}

/// Adopts a copy of the spool; what was delivered, in words, and the lines of all objects.
fn adopted(fixture: &Path) -> String {
    let root = model_world::scratch();
    copy(&fixture.join("spools"), root.path());
    let mut adopted = only_orphan(root.path()).adopt(&labeler()).unwrap();
    let (id, mut bucket) = (adopted.id(), Bucket::default());
    for segment in adopted.segments().to_vec() {
        bucket.put(&segment).unwrap();
        adopted.delivered(&segment.key()).unwrap();
    }
    for range in adopted.dropped().to_vec() {
        bucket.declare(&range);
        adopted.delivered(&range.key()).unwrap();
    }
    adopted.end().into_iter().for_each(|end| bucket.end(end));
    adopted.finish().unwrap();
    bucket.words(id).join("\n") + "\n\n" + &String::from_utf8_lossy(&bucket.lines(id))
}

fn bless(fixture: &Path, codec: Codec, ending: Ending) {
    let scratch = model_world::scratch();
    let compression = Compression { codec, ..Compression::default() };
    let life = write(scratch.path(), compression, ending, &mut Bucket::default());
    let _ = fs::remove_dir_all(fixture);
    copy(scratch.path(), &fixture.join("spools"));
    // An adopter makes its own.
    fs::remove_file(fixture.join("spools").join(life.id.to_string()).join("lock")).unwrap();
    fs::write(fixture.join("objects.txt"), adopted(fixture)).unwrap();
}

#[test]
fn spools_of_version_1_are_adopted_as_they_always_were() {
    let is_blessing = std::env::var_os("SPOOL_TEST_BLESS").is_some();
    for (codec_name, codec) in CODECS {
        for (ending_name, ending) in ENDINGS {
            let name = format!("{codec_name}-{ending_name}");
            let fixture = folder(&name);
            if is_blessing {
                bless(&fixture, codec, ending);
            }
            let expected = fs::read_to_string(fixture.join("objects.txt")).unwrap();
            assert_eq!(adopted(&fixture), expected, "{name}");
        }
    }
}
