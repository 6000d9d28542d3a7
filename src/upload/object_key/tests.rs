use super::*;

const SPOOL: &str = "01JD9ZP3V4YB7K8M2N5Q6R7S8T";

fn keys() -> ObjectKeys {
    ObjectKeys::try_new("logs", "orders").expect("a plain prefix and name")
}

fn facts() -> SegmentFacts<'static> {
    SegmentFacts {
        spool_id: SPOOL,
        first: 0,
        last: 41,
        digest: 0x00ab_cdef_0123_4567,
        partition_ms: 1_763_873_999_999, // 2025-11-23T04:59:59.999Z
        codec: Compression::Zstd,
        format: LineFormat::Json,
        mark: Mark::None,
    }
}

#[test]
fn a_key_is_prefix_function_hour_and_file_name() {
    assert_eq!(
        keys().segment(&facts()),
        "logs/function=orders/dt=2025-11-23/hour=04/\
         01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-00abcdef01234567.ndjson.zst"
    );
}

#[test]
fn format_compression_and_mark_show_in_the_file_name() {
    let table = [
        (LineFormat::Json, Compression::Zstd, Mark::None, ".ndjson.zst"),
        (LineFormat::Json, Compression::Gzip, Mark::End, "-end.ndjson.gz"),
        (LineFormat::Json, Compression::None, Mark::Cut, "-cut.ndjson"),
        (LineFormat::Text, Compression::Zstd, Mark::Cut, "-cut.log.zst"),
        (LineFormat::Raw, Compression::None, Mark::None, ".log"),
    ];
    for (format, codec, mark, end) in table {
        let name = segment_file_name(&SegmentFacts { format, codec, mark, ..facts() });
        assert_eq!(name, format!("{SPOOL}-000000000000-000000000041-00abcdef01234567{end}"));
    }
}

#[test]
fn a_tombstone_lies_under_the_hour_in_which_its_spool_began() {
    let key = keys().dropped(&DroppedFacts {
        spool_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV", // the ULID specification's example: 2016-07-30T23:54:10.259Z
        first: 7,
        last: 1_234_567_890_123,
        cause: "quota",
    });
    assert_eq!(
        key,
        "logs/function=orders/dt=2016-07-30/hour=23/\
         01ARZ3NDEKTSV4RRFFQ69G5FAV-000000000007-1234567890123-quota.dropped"
    );
}

#[test]
fn a_spool_id_tells_its_time_and_nothing_else_does() {
    assert_eq!(spool_id_time_ms("01ARZ3NDEKTSV4RRFFQ69G5FAV"), Some(1_469_922_850_259));
    assert_eq!(spool_id_time_ms("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"), Some((1 << 48) - 1));
    for none in [
        "",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01arz3ndektsv4rrffq69g5fav",
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "01ARZ3NDEKTSV4RRFFQ69G5FAU",
        "01ARZ3NDEKTSV4RRFFQ69G5Fé",
    ] {
        assert_eq!(spool_id_time_ms(none), None, "{none}");
    }
}

#[test]
fn the_hour_is_utc_and_never_panics() {
    let table = [
        (0, "dt=1970-01-01/hour=00/"),
        (3_599_999, "dt=1970-01-01/hour=00/"),
        (3_600_000, "dt=1970-01-01/hour=01/"),
        (-1, "dt=1969-12-31/hour=23/"),
        (951_782_400_000, "dt=2000-02-29/hour=00/"),
        (253_402_300_799_999, "dt=9999-12-31/hour=23/"),
        (253_402_300_800_000, "dt=9999-12-31/hour=23/"),
        (i64::MAX, "dt=9999-12-31/hour=23/"),
        (-62_167_219_200_000, "dt=0000-01-01/hour=00/"),
        (-62_167_219_200_001, "dt=0000-01-01/hour=00/"),
        (i64::MIN, "dt=0000-01-01/hour=00/"),
    ];
    for (partition_ms, folder) in table {
        let key = keys().segment(&SegmentFacts { partition_ms, ..facts() });
        assert!(key.starts_with(&format!("logs/function=orders/{folder}{SPOOL}")), "{partition_ms}: {key}");
    }
}

#[test]
fn a_function_name_is_made_safe_byte_by_byte() {
    let table = [
        ("orders-v2_A.1", "orders-v2_A.1"),
        ("a/b", "a%2Fb"),
        ("..", ".."),
        ("a b=c%", "a%20b%3Dc%25"),
        ("é", "%C3%A9"),
        ("$LATEST", "%24LATEST"),
    ];
    for (name, written) in table {
        let key = ObjectKeys::try_new("", name).expect(name).segment(&facts());
        assert!(key.starts_with(&format!("function={written}/dt=")), "{name}: {key}");
    }
}

#[test]
fn a_bad_prefix_is_refused_with_value_and_rule() {
    let long = "p".repeat(PREFIX_BYTES_MAX + 1);
    let table = [
        ("/logs", "the prefix `/logs` begins with `/`: it must not"),
        ("//", "the prefix `/` begins with `/`: it must not"),
        ("a//b", "the prefix `a//b` has the segment ``: none may be empty, `.` or `..`"),
        ("a/../b", "the prefix `a/../b` has the segment `..`: none may be empty, `.` or `..`"),
        ("./a", "the prefix `./a` has the segment `.`: none may be empty, `.` or `..`"),
        ("a//", "the prefix `a/` has the segment ``: none may be empty, `.` or `..`"),
        ("a\nb", "the prefix `a\\nb` has a control character: none is allowed"),
        (&long, "the prefix has 513 bytes: at most 512 are allowed"),
    ];
    for (prefix, message) in table {
        let error = ObjectKeys::try_new(prefix, "f").expect_err(prefix);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_function_name_that_is_empty_or_too_long_is_refused() {
    assert_eq!(ObjectKeys::try_new("", ""), Err(ObjectKeyError::FunctionEmpty));
    assert!(ObjectKeys::try_new("", &"f".repeat(FUNCTION_BYTES_MAX)).is_ok());
    for long in ["f".repeat(FUNCTION_BYTES_MAX + 1), "/".repeat(65)] {
        let error = ObjectKeys::try_new("", &long).expect_err("too long");
        assert!(error.to_string().contains("at most 192"), "{error}");
    }
}

#[test]
fn one_slash_at_the_end_of_a_prefix_is_ignored() {
    assert_eq!(ObjectKeys::try_new("a/b/", "f"), ObjectKeys::try_new("a/b", "f"));
    assert_eq!(ObjectKeys::try_new("/", "f"), ObjectKeys::try_new("", "f"));
}

#[test]
fn the_longest_key_fits_into_s3_and_each_part_into_a_file_system() {
    let prefix = "p".repeat(PREFIX_BYTES_MAX);
    let function = "/".repeat(64);
    let keys = ObjectKeys::try_new(&prefix, &function).expect("both at their limit");
    let segment = keys.segment(&SegmentFacts {
        first: u64::MAX,
        last: u64::MAX,
        digest: u64::MAX,
        partition_ms: i64::MAX,
        mark: Mark::End,
        ..facts()
    });
    let dropped = keys.dropped(&DroppedFacts {
        spool_id: "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        first: u64::MAX,
        last: u64::MAX,
        cause: &"c".repeat(CAUSE_BYTES_MAX),
    });
    for key in [segment, dropped] {
        assert!(key.len() <= KEY_BYTES_MAX, "{} bytes", key.len());
        assert!(key.split('/').skip(1).all(|part| part.len() <= 255), "{key}");
    }
}

#[test]
fn what_is_not_ours_is_not_parsed() {
    let ours = "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-00abcdef01234567.ndjson.zst";
    assert!(parse_file_name(ours).is_some());
    let foreign = [
        "",
        "a.txt",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T",
        // one padding zero too few, too many, a sign, a space
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-00000000000-000000000041-00abcdef01234567.ndjson.zst",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-0000000000000-000000000041-00abcdef01234567.ndjson.zst",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-+00000000000-000000000041-00abcdef01234567.ndjson.zst",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T- 00000000000-000000000041-00abcdef01234567.ndjson.zst",
        // a range that runs backwards, a number beyond u64
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000042-000000000041-00abcdef01234567.ndjson.zst",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-18446744073709551616-00abcdef01234567.ndjson.zst",
        // digest: upper case, short, signed
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-00ABCDEF01234567.ndjson.zst",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-abcdef01234567.ndjson.zst",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-+0abcdef01234567.ndjson.zst",
        // mark, extensions
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-00abcdef01234567-fin.ndjson.zst",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-00abcdef01234567.json.zst",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-00abcdef01234567.ndjson.lz4",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-00abcdef01234567.ndjson.zst.gz",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-00abcdef01234567",
        // tombstones: no cause, a cause that is no word
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-.dropped",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-Quota.dropped",
        "01JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041.dropped",
        // spool ids
        "81JD9ZP3V4YB7K8M2N5Q6R7S8T-000000000000-000000000041-00abcdef01234567.ndjson.zst",
        "01jd9zp3v4yb7k8m2n5q6r7s8t-000000000000-000000000041-00abcdef01234567.ndjson.zst",
    ];
    for name in foreign {
        assert_eq!(parse_file_name(name), None, "{name}");
    }
}

/// A number whose size in bits is as likely small as large.
fn any_seq(rng: &mut fastrand::Rng) -> u64 {
    rng.u64(..) >> rng.u32(0..64)
}

fn any_spool_id(rng: &mut fastrand::Rng) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let first = char::from(ALPHABET[rng.usize(0..8)]);
    std::iter::once(first).chain(std::iter::repeat_with(|| char::from(ALPHABET[rng.usize(0..32)])).take(25)).collect()
}

fn seed() -> u64 {
    let seed = std::env::var("LOGSPOOL_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("replay with LOGSPOOL_TEST_SEED={seed}");
    seed
}

#[test]
fn every_file_name_reads_back_as_what_it_was_made_of() {
    let mut rng = fastrand::Rng::with_seed(seed());
    for _ in 0..2_000 {
        let spool_id = any_spool_id(&mut rng);
        let (a, b) = (any_seq(&mut rng), any_seq(&mut rng));
        let facts = SegmentFacts {
            spool_id: &spool_id,
            first: a.min(b),
            last: a.max(b),
            digest: any_seq(&mut rng),
            partition_ms: rng.i64(..),
            codec: [Compression::Zstd, Compression::Gzip, Compression::None][rng.usize(0..3)],
            format: [LineFormat::Json, LineFormat::Text, LineFormat::Raw][rng.usize(0..3)],
            mark: [Mark::None, Mark::End, Mark::Cut][rng.usize(0..3)],
        };
        let key = keys().segment(&facts);
        let (_, name) = key.rsplit_once('/').expect("a key has folders");
        let parsed = parse_file_name(name).unwrap_or_else(|| panic!("{name} does not parse"));
        let extension = if facts.format == LineFormat::Json { "ndjson" } else { "log" };
        assert_eq!(
            parsed,
            FileName {
                spool_id: &spool_id,
                first: facts.first,
                last: facts.last,
                content: Content::Lines { digest: facts.digest, mark: facts.mark, extension, codec: facts.codec },
            }
        );

        let cause = ["quota", "refused", "damage", "vanished"][rng.usize(0..4)];
        let name =
            dropped_file_name(&DroppedFacts { spool_id: &spool_id, first: facts.first, last: facts.last, cause });
        let parsed = parse_file_name(&name).unwrap_or_else(|| panic!("{name} does not parse"));
        assert_eq!(parsed.content, Content::Dropped { cause });
        assert_eq!((parsed.first, parsed.last), (facts.first, facts.last));
    }
}

#[test]
fn names_of_one_spool_sort_by_number_below_a_million_million() {
    let mut rng = fastrand::Rng::with_seed(seed());
    let name = |first: u64, digest: u64| segment_file_name(&SegmentFacts { first, last: first, digest, ..facts() });
    for _ in 0..2_000 {
        let (a, b) = (any_seq(&mut rng) % 1_000_000_000_000, any_seq(&mut rng) % 1_000_000_000_000);
        if a != b {
            assert_eq!(a.cmp(&b), name(a, rng.u64(..)).cmp(&name(b, rng.u64(..))), "{a} and {b}");
        }
    }
}
