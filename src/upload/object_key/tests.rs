use super::*;

const SPOOL: &str = "01JD9ZP3V4YB7K8M2N5Q6R7S8T";

fn keys() -> ObjectKeys {
    keys_of(template::DEFAULT, KeyFacts { function: "orders", ..KeyFacts::default() })
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
fn a_key_is_function_hour_and_file_name() {
    assert_eq!(
        keys().segment(&facts()),
        "function=orders/dt=2025-11-23/hour=04/\
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
        "function=orders/dt=2016-07-30/hour=23/\
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
        assert!(key.starts_with(&format!("function=orders/{folder}{SPOOL}")), "{partition_ms}: {key}");
    }
}

fn keys_of(template: &str, facts: KeyFacts<'_>) -> ObjectKeys {
    ObjectKeys::try_new(&KeyTemplate::parse(template).expect(template), &facts).expect(template)
}

#[test]
fn every_field_of_a_template_stands_for_its_fact() {
    let function = KeyFacts { function: "orders", version: "$LATEST", region: "eu-west-1", account: "123456789012" };
    let table = [
        ("{function}/{version}", "orders/%24LATEST/"),
        ("{account}-{region}", "123456789012-eu-west-1/"),
        ("AWSLogs/{year}/{month}/{day}/{hour}", "AWSLogs/2025/11/23/04/"),
        ("dt={date}", "dt=2025-11-23/"),
        // Never another one: the listing of a bucket depends on it.
        ("{shard}/x", "a5/x/"),
        ("plain", "plain/"),
    ];
    for (template, folder) in table {
        let key = keys_of(template, function).segment(&facts());
        assert_eq!(key, format!("{folder}{}", segment_file_name(&facts())), "{template}");
    }
}

#[test]
fn a_shard_is_the_same_for_all_objects_of_a_spool_and_spreads_spools() {
    let keys = keys_of("{shard}", KeyFacts::default());
    let mut rng = fastrand::Rng::with_seed(1);
    let mut shards = std::collections::BTreeSet::new();
    for _ in 0..2_000 {
        let spool_id = &any_spool_id(&mut rng);
        let segment = keys.segment(&SegmentFacts { spool_id, ..facts() });
        let dropped = keys.dropped(&DroppedFacts { spool_id, first: 7, last: 7, cause: "quota" });
        assert_eq!(segment[..3], dropped[..3]);
        shards.insert(segment[..2].to_owned());
    }
    assert!(shards.len() > 250, "{} of 256", shards.len());
}

#[test]
fn a_fact_is_made_safe_byte_by_byte_and_what_nobody_told_is_unknown() {
    let table = [
        ("orders-v2_A.1", "orders-v2_A.1"),
        ("a/b", "a%2Fb"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("a b=c%", "a%20b%3Dc%25"),
        ("é", "%C3%A9"),
        ("$LATEST", "%24LATEST"),
        ("", "unknown"),
    ];
    for (name, written) in table {
        let key = keys_of("{function}/dt={date}", KeyFacts { function: name, ..KeyFacts::default() });
        let key = key.segment(&facts());
        assert!(key.starts_with(&format!("{written}/dt=")), "{name}: {key}");
    }
}

#[test]
fn facts_that_do_not_fit_are_refused() {
    let with = |template: &str, function: &str| {
        let facts = KeyFacts { function, ..KeyFacts::default() };
        ObjectKeys::try_new(&KeyTemplate::parse(template).expect("a template"), &facts)
    };
    // Lambda's longest name, each letter of it escaped.
    assert!(with(template::DEFAULT, &"/".repeat(64)).is_ok());
    let (segment, folder) = ("f".repeat(256), "f/".repeat(150));
    assert_eq!(with("{function}", &segment), Err(TemplateError::SegmentTooLong { bytes: 256 }));
    assert!(with("{function}", &segment[1..]).is_ok());
    let error = with("a/{function}", &folder).expect_err("each slash is escaped");
    assert_eq!(error.to_string(), "it makes a folder of 602 bytes: at most 398 are allowed");
}

#[test]
fn the_longest_key_fits_into_s3_and_each_part_into_a_file_system() {
    let prefix = Prefix::parse(&"p".repeat(512)).expect("at its limit");
    let half = "f".repeat(199);
    let keys =
        keys_of("{function}{version}", KeyFacts { function: &half[..55], version: &half, ..KeyFacts::default() });
    let keys = [keys, keys_of(&format!("{half}/{}", &half[1..]), KeyFacts::default())];
    for keys in keys {
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
            assert!(prefix.join(&key).len() <= KEY_BYTES_MAX, "{} bytes", key.len());
            assert!(key.split('/').all(|part| part.len() <= 255), "{key}");
        }
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
