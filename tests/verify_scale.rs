//! `logspool verify` over a listing of any length: time and memory, against a server that makes the listing up.
//!
//! `LOGSPOOL_TEST_KEYS=1000000 cargo test --release --test verify_scale -- --nocapture` is the long version.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// More names than fit into the memory of the sorter, so that files are used.
const KEYS: usize = 200_000;
const PAGE_KEYS: usize = 1_000;
/// Each spool has so many objects, one an hour, the last one with its end.
const OBJECTS_PER_SPOOL: usize = 20;
/// 64 MiB of names, what the allocator keeps beside them, the program, and a page of the listing.
const MEMORY_MIB_MAX: u64 = 128;

/// The n-th key of the listing. It is sorted by hour, so every spool is all over it: the order of it helps nobody.
fn key(number: usize, keys: usize) -> String {
    let spools = keys / OBJECTS_PER_SPOOL;
    let (object, spool) = (number / spools, number % spools);
    let (first, last) = (object * 100, object * 100 + 99);
    let end = if object + 1 == OBJECTS_PER_SPOOL { "-end" } else { "" };
    format!(
        "it/function=orders/dt=2026-11-25/hour={object:02}/01JZ8K4M{spool:018}-{first:012}-{last:012}-{number:016x}{end}.ndjson.zst"
    )
}

fn page(from: usize, keys: usize, left_out: usize) -> String {
    let until = keys.min(from + PAGE_KEYS);
    let mut page = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>logs</Name>");
    for number in (from..until).filter(|number| *number != left_out) {
        let key = key(number, keys);
        let _ = write!(
            page,
            "<Contents><Key>{key}</Key><LastModified>2026-11-25T20:00:00.000Z</LastModified><ETag>&quot;{number:032x}&quot;</ETag>\
             <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            1_000 + number % 1_000
        );
    }
    let is_truncated = until < keys;
    let _ = write!(page, "<IsTruncated>{is_truncated}</IsTruncated>");
    if is_truncated {
        let _ = write!(page, "<NextContinuationToken>{until}</NextContinuationToken>");
    }
    page + "</ListBucketResult>"
}

/// Answers listings, and nothing else, until nobody asks any more.
fn serve(listener: &TcpListener, keys: usize, left_out: usize) {
    for stream in listener.incoming() {
        answer(stream.unwrap(), keys, left_out);
    }
}

fn answer(mut stream: TcpStream, keys: usize, left_out: usize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut header = String::new();
        while reader.read_line(&mut header).unwrap() > 2 {
            header.clear();
        }
        assert!(request.starts_with("GET /logs/?list-type=2&"), "{request}");
        let token = request.split("continuation-token=").nth(1).map(|rest| rest.split(['&', ' ']).next().unwrap());
        let page = page(token.map_or(0, |token| token.parse().unwrap()), keys, left_out);
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n", page.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(page.as_bytes()).unwrap();
    }
}

fn start(server: SocketAddr) -> Child {
    Command::new(env!("CARGO_BIN_EXE_logspool"))
        .args(["verify", "s3://logs/it", "--settle", "0s"])
        .env_clear()
        .env("AWS_ENDPOINT_URL_S3", format!("http://{server}"))
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the end of a process; its peak of memory in MiB.
fn watch(child: &mut Child) -> (ExitStatus, u64) {
    let mut peak_kib = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak_kib = kib.unwrap_or(0).max(peak_kib);
        if let Some(status) = child.try_wait().unwrap() {
            return (status, peak_kib >> 10);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn any_number_of_keys_is_verified_in_bounded_memory() {
    let keys = std::env::var("LOGSPOOL_TEST_KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(KEYS);
    let left_out = keys / OBJECTS_PER_SPOOL * 7 + 3;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(&listener, keys, left_out));

    let begun = Instant::now();
    let mut child = start(server);
    let (status, peak_mib) = watch(&mut child);
    let mut out = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut out).unwrap();
    println!("{keys} keys in {:.1} s, at most {peak_mib} MiB of memory:\n{out}", begun.elapsed().as_secs_f64());

    assert_eq!(status.code(), Some(1));
    let spools = keys / OBJECTS_PER_SPOOL;
    let grouped = |number: usize| {
        let digits = number.to_string();
        let from = |index: usize| (digits.len() - index).is_multiple_of(3) && index > 0;
        digits
            .char_indices()
            .flat_map(|(at, digit)| from(at).then_some(',').into_iter().chain([digit]))
            .collect::<String>()
    };
    let words = |line: &str| {
        out.lines().find(|it| it.starts_with(line)).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words("complete")[1..3], [grouped(spools - 1), grouped((spools - 1) * OBJECTS_PER_SPOOL)]);
    assert_eq!(words("gap")[1..3], ["1".to_owned(), (OBJECTS_PER_SPOOL - 1).to_string()]);
    assert!(out.contains("gap: numbers 700 to 799 missing, between 01JZ8K4M000000000000000003-"), "{out}");
    assert!(peak_mib <= MEMORY_MIB_MAX, "{peak_mib} MiB");
}
