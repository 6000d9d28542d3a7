//! `logspool cat`: lines as they were delivered, in the order of their times.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

#[path = "cat/files.rs"]
mod files;
#[path = "cat/tool.rs"]
mod tool;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use sandbox::s3::{Fault, Requests};
use sandbox::{Category, Fate, Ledger, Sandbox, ShutdownReason, Work};
use tool::{cat, command, delivered, interruptible, text_of};
use world::wire::Wire;
use world::{BUCKET, World, file_name};

fn place() -> String {
    format!("s3://{BUCKET}/it")
}

/// A life of a function: some invocations, each of which leaves more than one object. Returns their requests, and what was said.
async fn life(world: &World, function: &str, settings: &[(&str, &str)]) -> (Vec<String>, Ledger) {
    let mut sandbox = world.sandbox().function_name(function).extension_env("LOGSPOOL_SEAL_SIZE", "1KiB");
    for (name, value) in settings {
        sandbox = sandbox.extension_env(*name, *value);
    }
    let sandbox = sandbox.start().await.unwrap();
    let mut requests = Vec::new();
    for lines in [40, 1, 0] {
        let request = sandbox.invoke_start(Work { lines, ..Work::default() });
        requests.push(request.request_id().to_owned());
        request.finished().await;
    }
    sandbox.shutdown(ShutdownReason::Spindown).await;
    (requests, sandbox.ledger())
}

/// The records of the function that name a request: its lines do.
fn said_by(ledger: &Ledger, request: &str) -> Vec<String> {
    let acknowledged = ledger.with_fate(Fate::Acknowledged).filter(|event| event.category == Category::Function);
    acknowledged.map(|event| event.record.get().to_owned()).filter(|record| record.contains(request)).collect()
}

#[tokio::test]
async fn lines_of_several_lives_and_functions_come_in_the_order_of_their_times() {
    for compression in ["zstd", "gzip", "none"] {
        let world = World::new().await;
        let settings = [("LOGSPOOL_COMPRESSION", compression)];
        let mut lives = Vec::new();
        for function in ["orders", "carts", "orders"] {
            lives.push(life(&world, function, &settings).await);
        }
        world.heal().await;
        let objects = world.objects();
        let lines = delivered(&objects);
        assert!(objects.len() > 6 && lines.len() > 120, "{} objects of {} lines", objects.len(), lines.len());

        let shown = cat(&world, &[&place(), "--stats"]).await;
        assert_eq!(shown.code, Some(0), "{}", shown.err);
        assert_eq!(shown.lines(), lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), "{compression}");
        let count = format!("{} objects listed, {} of ", objects.len(), objects.len());
        assert!(shown.err.contains(&count) && shown.err.ends_with(" of them shown\n"), "{}", shown.err);

        for (requests, ledger) in &lives {
            for request in requests {
                let shown = cat(&world, &[&place(), "--request", request]).await;
                assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
                let expected: Vec<_> = lines.iter().filter(|line| line.json()["requestId"] == **request).collect();
                assert_eq!(shown.lines(), expected.iter().map(|line| line.text.as_str()).collect::<Vec<_>>());
                let of_function = expected.iter().map(|line| line.json()).filter(|line| line["type"] == "function");
                let mut records: Vec<_> = of_function.map(|line| line["message"].to_string()).collect();
                let mut said: Vec<_> = said_by(ledger, request)
                    .iter()
                    .map(|it| serde_json::from_str::<serde_json::Value>(it).unwrap().to_string())
                    .collect();
                records.sort();
                said.sort();
                assert_eq!(records, said, "what the function said of {request}");
            }
        }
        let across = |request: &str| {
            let holds =
                objects.iter().filter(|object| text_of(object).contains(&format!("\"requestId\":\"{request}\"")));
            holds.count()
        };
        assert!(lives.iter().any(|(requests, _)| across(&requests[0]) > 1), "a request lies in several objects");
    }
}

#[tokio::test]
async fn patterns_find_lines_and_one_that_is_none_is_refused() {
    let world = World::new().await;
    let (requests, _) = life(&world, "orders", &[]).await;
    world.heal().await;
    let lines = delivered(&world.objects());
    let shown = cat(&world, &[&place(), "--grep", r"(?i)ERROR\s.*00001\d"]).await;
    let expected: Vec<_> = lines
        .iter()
        .map(|line| &line.text)
        .filter(|text| text.to_lowercase().contains("error ") && text.contains(" 00001"))
        .collect();
    assert_eq!(shown.lines(), expected);
    // All that is asked for must hold.
    let shown = cat(&world, &[&place(), "--grep", "\"type\":\"platform.report\"", "--request", &requests[1]]).await;
    assert_eq!(shown.lines().len(), 1, "{}", shown.out);
    assert!(shown.out.contains(&requests[1]) && shown.out.contains("platform.report"));
    let shown = cat(&world, &[&place(), "--grep", "("]).await;
    assert_eq!((shown.code, shown.out.as_str()), (Some(2), ""));
    assert!(shown.err.starts_with("logspool: --grep: regex parse error"), "{}", shown.err);
}

/// A life was killed while the store was down, and somebody removed one of its files: the next life tells of the loss.
#[tokio::test]
async fn what_a_killed_life_left_is_shown_with_its_losses() {
    for format in ["json", "text"] {
        let world = World::new().await;
        world.s3.faults().set(Fault::RefuseConnections);
        let settings = [("LOGSPOOL_SEAL_SIZE", "1KiB"), ("LOGSPOOL_FORMAT", format)];
        let sandbox = settings.iter().fold(world.sandbox(), |it, (name, value)| it.extension_env(*name, *value));
        let sandbox = sandbox.start().await.unwrap();
        let [spool] = world.spools().try_into().expect("one life");
        // However bodies come: until something lies behind what will be missing, so that it is known to be missing.
        for done in 0.. {
            if done >= 3 && spool.join("000000000002.seg").exists() {
                break;
            }
            assert!(done < 50, "a body fills a segment");
            sandbox.invoke(Work { lines: 30, ..Work::default() }).await;
        }
        sandbox.kill_extension().await;
        fs::remove_file(spool.join("000000000001.seg")).unwrap();
        world.s3.faults().clear();
        let (requests, _) = life(&world, "orders", &settings[1..]).await;
        world.heal().await;

        let objects = world.objects();
        let shown = cat(&world, &[&place()]).await;
        assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
        let mut lines = shown.lines();
        let mut expected: Vec<_> =
            objects.iter().map(text_of).flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected, "every line once, {format}");
        let has = |word: &str| shown.out.contains(word);
        assert!(has("logspool.dropped") && has("\"cause\":\"vanished\"") && has("logspool.end"), "{}", shown.out);

        let shown = cat(&world, &[&place(), "--request", &requests[0]]).await;
        let of_request = |line: &&String| match format {
            "text" => line.split('\t').nth(1) == Some(&requests[0]),
            _ => line.contains(&format!("\"requestId\":\"{}\",", requests[0])),
        };
        let mut lines = shown.lines();
        lines.sort_unstable();
        assert_eq!(lines, expected.iter().filter(of_request).collect::<Vec<_>>(), "losses are of no request");
        assert!(lines.len() > 40, "{lines:?}");
    }
}

/// Posts a record of the function for each of these times, each of another hour, in a life of its own.
async fn hours(world: &World, times: &[String], settings: &[(&str, &str)]) -> Sandbox {
    let sandbox = world.sandbox().freeze(false).extension_env("LOGSPOOL_TYPES", "function");
    let sandbox = settings.iter().fold(sandbox, |sandbox, (name, value)| sandbox.extension_env(*name, *value));
    let sandbox = sandbox.start().await.unwrap();
    for time in times {
        let body = format!(r#"[{{"time":"{time}","type":"function","record":"said at {time}"}}]"#);
        assert_eq!(Wire::connect(&sandbox).await.post(body.as_bytes()).await, 200);
    }
    sandbox
}

/// The middle of the hour that was so many hours ago, and its folder.
fn hour(ago: i64) -> (String, String) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let hour = i64::try_from(now).unwrap() / 3_600 - ago;
    let time = tool::time((hour * 3_600 + 1_800) * 1_000);
    let folder = format!("dt={}/hour={}", &time[..10], &time[11..13]);
    (time, folder)
}

#[tokio::test]
async fn folders_of_other_hours_are_neither_listed_nor_read() {
    let world = World::new().await;
    let hours_ago = [9, 7, 5, 3];
    let times: Vec<_> = hours_ago.iter().map(|ago| hour(*ago).0).collect();
    let sandbox = hours(&world, &times, &[]).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    let folders: BTreeSet<_> =
        world.objects().iter().map(|object| object.key.rsplit_once('/').unwrap().0.to_owned()).collect();
    assert!(folders.len() >= 4, "{folders:?}");

    let seen = world.s3.requests().len();
    let (since, until) = (hour(7).0, hour(5).0);
    let shown = cat(&world, &[&place(), "--since", &since, "--until", &until, "--slack", "0s"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    assert_eq!(shown.lines().len(), 1, "the end of the span is not in it: {}", shown.out);
    assert!(shown.out.contains(&format!("said at {}", times[1])));
    let requests = world.s3.requests().split_off(seen);
    let wanted = [hour(7).1, hour(6).1, hour(5).1];
    let is_wanted = |text: &str| wanted.iter().any(|folder| text.contains(folder));
    let (listings, reads): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.key.is_empty());
    assert!(!reads.is_empty() && reads.iter().all(|read| is_wanted(&read.key)), "{reads:#?}");
    let listed: Vec<_> = listings.iter().map(|listing| listing.query.replace("%3D", "=").replace("%2F", "/")).collect();
    let of_hours: Vec<_> = listed.iter().filter(|query| query.contains("hour=")).collect();
    assert!(of_hours.len() == 2 && of_hours.iter().all(|query| is_wanted(query)), "{listed:#?}");
    let of_days: BTreeSet<_> = wanted.iter().map(|folder| &folder[..13]).collect();
    // The prefix, its function, the days, the hours.
    assert_eq!(listings.len(), 2 + of_days.len() + 2, "{listed:#?}");

    // A day of which all is wanted is listed as a whole.
    let seen = world.s3.requests().len();
    let all = cat(&world, &[&place(), "--since", "2001-01-01"]).await;
    assert_eq!(all.out, cat(&world, &[&place()]).await.out);
    let days: BTreeSet<_> = folders.iter().map(|folder| &folder[..folder.len() - "/hour=05".len()]).collect();
    let listings = world.s3.requests().split_off(seen).into_iter().filter(|request| request.key.is_empty());
    assert_eq!(listings.count(), 2 + days.len() + 1, "the prefix, its function, the days; then all at once");

    // By default lines may be an hour away from the folder that they lie in, and are judged by their own time all the same.
    let shown = cat(&world, &[&place(), "--since", &times[2]]).await;
    let said: Vec<_> = shown.lines().into_iter().filter(|line| line.contains("said at")).map(str::to_owned).collect();
    assert_eq!(said.len(), 2, "{}", shown.out);
    assert!(said[0].contains(&times[2]) && said[1].contains(&times[3]));
    // Nothing of that time lies there; and nothing at all.
    let shown = cat(&world, &[&place(), "--since", "2001-01-01", "--until", "2001-01-02"]).await;
    assert_eq!((shown.code, shown.out.as_str()), (Some(0), ""));
    assert_eq!(shown.err, "logspool: no object of logspool lies there in folders of that time\n");
    for nowhere in [&["s3://logs/elsewhere"][..], &["s3://logs/elsewhere", "--since", "1h"]] {
        let shown = cat(&world, nowhere).await;
        assert_eq!((shown.code, shown.out.as_str()), (Some(2), ""));
        assert_eq!(shown.err, "logspool: no object of logspool lies there\n");
    }
}

#[tokio::test]
async fn raw_lines_stand_in_their_hour_and_what_they_do_not_say_is_said() {
    let world = World::new().await;
    let times = [hour(5).0, hour(3).0];
    let sandbox = hours(&world, &times, &[("LOGSPOOL_FORMAT", "raw")]).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;

    let shown = cat(&world, &[&place()]).await;
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    let expected = times.iter().map(|time| format!("said at {time}")).collect::<Vec<_>>();
    assert_eq!(shown.lines()[..2], expected, "{}", shown.out);
    let shown = cat(&world, &[&place(), "--until", &hour(4).0, "--slack", "0s"]).await;
    assert_eq!(shown.lines(), [&expected[0]]);
    assert!(
        shown.err.contains("1 lines of the format `raw` say no time and no request: they are shown by the hour"),
        "{}",
        shown.err
    );
    let shown = cat(&world, &[&place(), "--request", "r-1"]).await;
    assert_eq!((shown.code, shown.out.as_str()), (Some(0), ""));
    assert!(
        shown.err.contains("lines of the format `raw` say no time and no request: they are left out"),
        "{}",
        shown.err
    );
    let shown = cat(&world, &[&place(), "--grep", &times[1]]).await;
    assert_eq!(shown.lines(), [&expected[1]]);
}

#[tokio::test]
async fn what_is_damaged_or_gone_is_named_and_the_rest_is_shown() {
    let world = World::new().await;
    life(&world, "orders", &[("LOGSPOOL_COMPRESSION", "none")]).await;
    world.heal().await;
    let objects = world.objects_of_first_life();
    let lines = cat(&world, &[&place()]).await;
    let lines = lines.lines();

    // Still lines, and not those of its name.
    let damaged = file_name(&objects[1].key);
    let mut bytes = objects[1].bytes.clone();
    let at = text_of(&objects[1]).find("\"type\"").unwrap();
    bytes[at + 1] = b'T';
    fs::write(&objects[1].path, bytes).unwrap();
    let shown = cat(&world, &[&place()]).await;
    assert_eq!((shown.code, shown.lines().len()), (Some(1), lines.len()));
    assert!(shown.err.starts_with(&format!("logspool: {damaged}: the digest of its bytes is ")), "{}", shown.err);
    assert_eq!(shown.err.lines().count(), 1);
    fs::write(&objects[1].path, &objects[1].bytes).unwrap();

    // The one request behind the listing.
    world.s3.faults().of(Requests::All).script([None, Some(Fault::NoSuchBucket)]);
    let shown = cat(&world, &[&place()]).await;
    assert_eq!(shown.code, Some(1), "{}", shown.err);
    let gone = objects.iter().find(|object| shown.err.contains(file_name(&object.key))).unwrap();
    assert_eq!(shown.err, format!("logspool: {}: it was in the listing, and is gone\n", file_name(&gone.key)));
    let rest: Vec<_> = lines.iter().copied().filter(|line| !text_of(gone).lines().any(|it| it == *line)).collect();
    assert_eq!(shown.lines(), rest);

    // What passes is tried again; what does not ends it.
    world.s3.faults().of(Requests::All).script([None, Some(Fault::SlowDown), Some(Fault::InternalError)]);
    let shown = cat(&world, &[&place()]).await;
    assert_eq!((shown.code, shown.err.as_str(), shown.lines()), (Some(0), "", lines));
    world.s3.faults().of(Requests::All).script([None, Some(Fault::AccessDenied)]);
    let shown = cat(&world, &[&place()]).await;
    assert_eq!(shown.code, Some(2), "{}", shown.err);
    assert!(
        shown.err.starts_with(&format!("logspool: {}/", place())) && shown.err.contains("AccessDenied"),
        "{}",
        shown.err
    );
}

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn what_comes_is_shown_once_until_it_is_interrupted() {
    let world = World::new().await;
    life(&world, "orders", &[]).await;
    world.heal().await;
    let before = delivered(&world.objects());
    let child = interruptible(&world, &[&place(), "--follow", "--every", "1s"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Running(child);
    let out = BufReader::new(child.0.stdout.take().unwrap());
    let (sender, mut shown) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || out.lines().map(Result::unwrap).try_for_each(|line| sender.send(line)));
    let mut next = async |count: usize| {
        let mut lines = Vec::new();
        while lines.len() < count {
            lines.push(shown.recv().await.expect("it goes on"));
        }
        lines
    };
    let texts = |lines: &[tool::Line]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
    assert_eq!(next(before.len()).await, texts(&before));

    life(&world, "carts", &[]).await;
    world.heal().await;
    let mut after = delivered(&world.objects());
    after.retain(|line| !before.contains(line));
    let mut after = texts(&after);
    assert!(!after.is_empty());
    // What came in several looks is in order within each.
    let mut came = next(after.len()).await;
    came.sort();
    after.sort();
    assert_eq!(came, after);

    let pid = child.0.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    assert_eq!(shown.recv().await, None, "nothing is shown twice");
    assert_eq!(child.0.wait().unwrap().signal(), Some(2));
}

/// The bar moves in a thread of its own while the program reads and complains.
#[tokio::test]
async fn a_terminal_has_a_bar_and_it_holds_up_nothing() {
    let world = World::new().await;
    life(&world, "orders", &[]).await;
    world.heal().await;
    let damaged = &world.objects()[0];
    fs::write(&damaged.path, vec![b'x'; damaged.bytes.len()]).unwrap();
    // Some movements of the bar.
    world.s3.set_latency(std::time::Duration::from_millis(400));
    for (tool, says) in [("cat", "the digest of its bytes is "), ("verify --deep", "NOT COMPLETE")] {
        let out = world.tmp().join("out");
        let program = world::desk();
        let line = format!("timeout 100 '{program}' {tool} {} > '{}'; echo ended with $?", place(), out.display());
        let mut terminal = command(&world, &[]);
        let variables: Vec<_> =
            terminal.get_envs().map(|(name, value)| (name.to_owned(), value.unwrap().to_owned())).collect();
        terminal = std::process::Command::new("script");
        terminal.args(["-qec", &line, "/dev/null"]).envs(variables).stdin(Stdio::null());
        if std::process::Command::new("script").arg("--version").output().is_err() {
            eprintln!("skipped: there is no `script` to make a terminal");
            return;
        }
        let shown = tool::finished(terminal).await;
        assert!(shown.out.contains("ended with 1"), "{tool}: {}", shown.out);
        let text = shown.out + &fs::read_to_string(out).unwrap();
        assert!(text.contains(says) && text.contains("objects read"), "{tool}: {text}");
    }
}
