//! Credentials from the container endpoint, which stands in for the variables where a snapshot must not hold any.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandbox::{Sandbox, SandboxBuilder, Work};
use world::World;

const TOKEN: &str = "c0nt41n3r";

/// An endpoint that hands out the keys of a store, and the requests that it got.
struct Endpoint {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    fn start(world: &World) -> Self {
        Self::of_keys_for(world, None)
    }

    /// Keys that end so long after they were handed out; never, as far as these tests go, if that is not told.
    fn of_keys_for(world: &World, lasts: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let [id, secret] = [world.s3.access_key_id(), world.s3.secret_access_key()].map(str::to_owned);
        let keys = move || {
            let ends = lasts.map_or("2099-01-01T00:00:00Z".to_owned(), time_after);
            format!(r#"{{"AccessKeyId":"{id}","SecretAccessKey":"{secret}","Token":"t0k3n","Expiration":"{ends}"}}"#)
        };
        let seen = Arc::clone(&asked);
        // It ends with the process: whoever waits for a connection cannot be told.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let may_have = head.iter().any(|line| line.eq_ignore_ascii_case(&format!("authorization: {TOKEN}")));
                seen.lock().unwrap().push(head.join("\n"));
                let (status, body) = if may_have { ("200 OK", keys()) } else { ("401 Unauthorized", String::new()) };
                let length = body.len();
                // Whoever asked may have gone.
                let _ =
                    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// As endpoints write it.
fn time_after(time: Duration) -> String {
    let at = time::OffsetDateTime::now_utc() + time;
    at.format(&time::format_description::well_known::Rfc3339).unwrap()
}

#[tokio::test]
async fn they_are_fetched_at_the_first_upload_and_not_before_and_once() {
    let world = World::new().await;
    let endpoint = Endpoint::start(&world);
    let sandbox = world
        .sandbox()
        // Empty ones count as none.
        .extension_env("AWS_ACCESS_KEY_ID", "")
        .extension_env("AWS_SECRET_ACCESS_KEY", "")
        .extension_env("AWS_SESSION_TOKEN", "")
        .extension_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}/v2/keys", endpoint.address))
        .extension_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN)
        .extension_env("LOGSPOOL_DRAIN", "end")
        .start()
        .await
        .unwrap();
    assert_eq!(endpoint.asked(), 0, "an init that ends in a snapshot holds no credentials");
    for lines in [5, 3, 8] {
        assert!(sandbox.invoke(Work { lines, ..Work::default() }).await.result.is_ok());
    }
    world.end(&sandbox).await;
    assert_eq!(endpoint.asked(), 1, "{:?}", endpoint.asked.lock().unwrap());
    let signed = world.s3.requests();
    assert!(signed.len() >= 3 && signed.iter().all(|request| request.status == Some(200)));
    assert!(endpoint.asked.lock().unwrap()[0].starts_with("GET /v2/keys HTTP/1.1\n"));
}

#[tokio::test]
async fn an_endpoint_on_another_machine_is_asked_for_nothing() {
    let world = World::new().await;
    let sandbox = world
        .sandbox()
        .extension_env("AWS_ACCESS_KEY_ID", "")
        .extension_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://credentials.example.com/keys")
        .start()
        .await
        .unwrap();
    assert!(sandbox.invoke(Work { lines: 3, ..Work::default() }).await.result.is_ok());
    sandbox.shutdown(sandbox::ShutdownReason::Spindown).await;
    let said = world::the_line(&sandbox, "Uploads need a person");
    assert!(said.contains("credentials.example.com") || said.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI"), "{said}");
    assert!(!world.spools().is_empty(), "everything is kept");
}

/// On Lambda Managed Instances a process lives for two weeks, and its uploads are begun by time alone.
async fn deliver(world: &World, sandbox: &Sandbox, number: usize) {
    assert!(sandbox.invoke(Work { lines: 2, ..Work::default() }).await.result.is_ok());
    while world.objects().len() < number {
        world::pause(10).await;
    }
}

fn managed(world: &World, endpoint: &Endpoint) -> SandboxBuilder {
    world
        .sandbox()
        .managed()
        .extension_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}/v2/keys", endpoint.address))
        .extension_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN)
        .extension_env("LOGSPOOL_SEAL_INVOCATIONS", "1")
}

#[tokio::test]
async fn in_a_process_that_outlives_them_they_are_fetched_again_when_they_have_ended() {
    let world = World::new().await;
    let endpoint = Endpoint::of_keys_for(&world, Some(Duration::from_millis(500)));
    let sandbox = managed(&world, &endpoint)
        .extension_env("AWS_ACCESS_KEY_ID", "")
        .extension_env("AWS_SECRET_ACCESS_KEY", "")
        .start()
        .await
        .unwrap();
    for number in 1..=3 {
        deliver(&world, &sandbox, number).await;
        // Until they have ended.
        world::pause(700).await;
    }
    world.end(&sandbox).await;
    assert!(endpoint.asked() >= 3, "{}", endpoint.asked());
    assert!(world.s3.requests().iter().all(|request| request.status == Some(200)));
}

#[tokio::test]
async fn when_the_variables_have_come_to_their_end_the_endpoint_takes_their_place() {
    let world = World::new().await;
    let endpoint = Endpoint::start(&world);
    // As old as keys can be: the store does not know them.
    let sandbox = managed(&world, &endpoint)
        .extension_env("AWS_ACCESS_KEY_ID", "AKIAOUTLIVED00000000")
        .extension_env("AWS_SESSION_TOKEN", "outlived")
        .start()
        .await
        .unwrap();
    for number in 1..=3 {
        deliver(&world, &sandbox, number).await;
    }
    world.end(&sandbox).await;
    let statuses: Vec<_> = world.s3.requests().iter().map(|request| request.status).collect();
    assert_eq!((statuses[0], endpoint.asked()), (Some(403), 1), "{statuses:?}");
    assert!(statuses[1..].iter().all(|status| *status == Some(200)), "one request has found out: {statuses:?}");
}
