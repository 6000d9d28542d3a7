//! What was delivered, line by line.

use sandbox::s3::StoredObject;
use sandbox::{Sandbox, ShutdownReason};
use serde_json::Value;

use super::world::World;

/// All lines of the first life in order, when it has ended.
pub async fn lines(world: &World, sandbox: &Sandbox) -> Vec<Value> {
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    lines_of(&world.objects_of_first_life())
}

pub fn lines_of(objects: &[StoredObject]) -> Vec<Value> {
    let lines = objects.iter().flat_map(|object| object.bytes.split(|byte| *byte == b'\n'));
    lines.filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

pub fn text(line: &Value) -> &str {
    line["message"].as_str().or_else(|| line["record"]["message"].as_str()).unwrap_or_default()
}

/// What the built-in function says in each line: whose it is, and its number.
pub fn head(line: &Value) -> (&str, &str) {
    let mut words = text(line).split(' ').skip(1);
    (words.next().unwrap(), words.next().unwrap())
}
