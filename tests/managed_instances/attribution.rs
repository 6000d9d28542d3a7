//! Whose a record is where many invocations run at the same time, told with a platform that can say anything: whatever does not
//! say itself whom it belongs to belongs to nobody, but for what Init says before anything else has begun.

use std::collections::{BTreeMap, BTreeSet};

use sandbox::{Fate, Sandbox, SandboxBuilder};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::told::{lines, text};
use super::world::World;
use super::world::wire::Wire;

/// The first half of all hashes is shipped.
const SAMPLE: &str = "0.5";

fn is_sampled(request_id: &str) -> bool {
    xxh3_64(request_id.as_bytes()) < 1 << 63
}

/// Ids of both kinds, in turn.
fn request_ids(count: usize) -> Vec<String> {
    let candidates = || (0..).map(|number| format!("{number:08x}-0000-4000-8000-000000000000"));
    let (sampled, others) = (candidates().filter(|id| is_sampled(id)), candidates().filter(|id| !is_sampled(id)));
    sampled.zip(others).flat_map(|(a, b)| [a, b]).take(count).collect()
}

fn managed(world: &World) -> SandboxBuilder {
    super::managed(world).extension_env("LOGSPOOL_FIELDS", "traceId").extension_env("LOGSPOOL_INVOCATIONS", "true")
}

/// The platform of the sandbox has told of its own Init, and says nothing more: it runs no invocation.
async fn started_up(sandbox: SandboxBuilder) -> Sandbox {
    let sandbox = sandbox.start().await.unwrap();
    sandbox.until(|ledger| ledger.with_fate(Fate::Acknowledged).any(|event| event.kind == "platform.initStart")).await;
    sandbox
}

fn event(kind: &str, record: &Value) -> Value {
    json!({ "time": "2026-01-10T10:00:03.004Z", "type": kind, "record": record })
}

fn started(id: &str) -> Value {
    let tracing = json!({ "type": "X-Amzn-Trace-Id", "value": format!("Root=trace-of-{id};Sampled=1") });
    event(
        "platform.start",
        &json!({ "requestId": id, "version": "1", "tenantId": format!("tenant-of-{id}"), "tracing": tracing }),
    )
}

fn said(text: &str) -> Value {
    event("function", &json!(text))
}

fn logged(id: &str, message: &str) -> Value {
    event("function", &json!({ "level": "INFO", "requestId": id, "message": message }))
}

fn reported(id: &str) -> Value {
    event("platform.report", &json!({ "requestId": id, "status": "success", "metrics": { "durationMs": 33.5 } }))
}

async fn post(sandbox: &Sandbox, events: &[Value]) {
    assert_eq!(Wire::connect(sandbox).await.post(json!(events).to_string().as_bytes()).await, 200);
}

#[tokio::test]
async fn records_of_invocations_that_interleave_are_told_apart_by_themselves_alone() {
    for by in ["variable", "refusal"] {
        let world = World::new().await;
        let sandbox = match by {
            "variable" => managed(&world),
            _ => managed(&world).initialization_type("on-demand"),
        };
        let sandbox = started_up(sandbox.extension_env("LOGSPOOL_SAMPLE", SAMPLE)).await;
        let ids = request_ids(6);
        let init =
            event("platform.initStart", &json!({ "initializationType": "lambda-managed-instances", "phase": "init" }));
        post(&sandbox, &[init, said("loading"), event("platform.initReport", &json!({})), said("loaded")]).await;
        // All begin, then each says something in turn, then they end in another order than they began.
        post(&sandbox, &ids.iter().map(|id| started(id)).collect::<Vec<_>>()).await;
        for round in 0..3 {
            let mut events = vec![said(&format!("nobody's {round}"))];
            events.extend(ids.iter().map(|id| logged(id, &format!("{round} of {id}"))));
            post(&sandbox, &events).await;
        }
        let mut events = Vec::new();
        for id in ids.iter().rev() {
            events.extend([reported(id), said("nobody's between reports"), logged(id, &format!("late of {id}"))]);
        }
        post(&sandbox, &events).await;
        let lines = lines(&world, &sandbox).await;

        let of_function: Vec<_> = lines.iter().filter(|line| line["type"] == "function").collect();
        let (mut nobodys, mut own) = (0, BTreeMap::<&str, usize>::new());
        for line in of_function {
            match text(line) {
                "loading" | "loaded" => assert_eq!(line["requestId"], "init", "{by}: {line}"),
                text if text.starts_with("nobody's") => {
                    nobodys += 1;
                    let carried = ["requestId", "tenantId", "traceId"].map(|name| line.get(name));
                    assert_eq!(carried, [None; 3], "{by}: {line}");
                }
                text => {
                    let id = ids.iter().find(|id| text.ends_with(id.as_str())).expect("nothing else was said");
                    assert_eq!(line["requestId"], id.as_str(), "{by}: {line}");
                    assert_eq!(line["tenantId"], format!("tenant-of-{id}"), "{by}: {line}");
                    assert_eq!(line["traceId"], format!("trace-of-{id}"), "{by}: {line}");
                    *own.entry(id).or_default() += 1;
                }
            }
        }
        assert_eq!(nobodys, 3 + ids.len(), "{by}: what belongs to nobody is in every sample");
        let sampled: BTreeMap<_, _> = ids.iter().filter(|id| is_sampled(id)).map(|id| (id.as_str(), 4)).collect();
        assert_eq!(own, sampled, "{by}: requests share one fate");

        let told: BTreeMap<_, _> = lines
            .iter()
            .filter(|line| line["type"] == "logspool.invocation")
            .map(|line| (line["requestId"].as_str().unwrap(), &line["record"]))
            .collect();
        let in_order: BTreeSet<_> = ids.iter().map(String::as_str).collect();
        assert!(told.keys().eq(&in_order), "{by}: {told:?}");
        for (id, record) in told {
            assert_eq!((&record["lines"], &record["partial"]), (&json!(3), &Value::Null), "{by}: {id}: {record}");
            assert_eq!(record["durationMs"], 33.5, "{by}: {record}");
        }
    }
}

/// What stands in the spool beside the lines: whoever adopts a half does not give it to a request that happened to run.
#[tokio::test]
async fn half_a_record_belongs_to_nobody_once_init_is_over() {
    let world = World::new().await;
    let sandbox = started_up(managed(&world)).await;
    post(&sandbox, &[event("platform.initStart", &json!({})), said("loading")]).await;
    post(&sandbox, &[started("a"), started("b")]).await;
    let cut = r#"[{"time":"2026-09-03T14:29:52.929Z","type":"function","record":"the first half}]"#;
    assert_eq!(Wire::connect(&sandbox).await.post(cut.as_bytes()).await, 200);
    sandbox.kill_extension().await;
    world.heal().await;
    let objects = world.objects();
    let lines = objects.iter().flat_map(|object| object.bytes.split(|byte| *byte == b'\n'));
    let half = lines
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .find(|line| line["type"] == "logspool.unparsed");
    let half = half.expect("the half is kept");
    assert!(half["message"].as_str().unwrap().contains("the first half"), "{half}");
    assert_eq!(half.get("requestId"), None, "{half}");
}
