//! P5: the platform itself refuses, fails or is gone. The process stays, asks again, and one line says what is wrong.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod between;
mod world;

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use between::{Between, CUT, NEXT, REGISTER, SUBSCRIBE};
use sandbox::{Fault, Sandbox, StartError, Work};
use tokio::net::TcpListener;
use world::{World, assert_whole, the_line, undisturbed};

async fn assert_all_is_delivered(world: &World, sandbox: &Sandbox) {
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

/// It is not registered, so nobody waits for it; but an exit would be a crash of the environment.
#[tokio::test]
async fn an_extension_that_is_not_registered_says_so_in_one_line_and_stays() {
    for status in [403, 404, 500] {
        let world = World::new().await;
        let between = Between::start(&world).await;
        between.fail(REGISTER, usize::MAX, status);
        let started = between.sandbox(&world).init_timeout(Duration::from_secs(4)).start().await;
        let Err(StartError::Init { fault, extension_output, .. }) = started else { panic!("{status}: it started") };
        assert!(matches!(fault, Fault::InitTimeout(_)), "{status}: {fault:?}");
        assert_eq!(extension_output.len(), 1, "{status}: {extension_output:#?}");
        let line = &extension_output[0];
        assert!(line.contains("did not register this extension") && line.contains(&status.to_string()), "{line}");
        assert_eq!(world.spools(), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_registration_that_fails_for_a_while_is_tried_again() {
    for status in [500, CUT] {
        let world = World::new().await;
        let between = Between::start(&world).await;
        between.fail(REGISTER, 3, status);
        let sandbox = between.sandbox(&world).start().await.unwrap();
        undisturbed(&sandbox).await;
        assert!(between.has_failed(REGISTER));
        assert_eq!(sandbox.extension_output(), Vec::<String>::new(), "{status}: that is not worth a word");
        assert_all_is_delivered(&world, &sandbox).await;
    }
}

#[tokio::test]
async fn a_refused_subscription_is_said_in_one_line() {
    for status in [403, 500] {
        let world = World::new().await;
        let between = Between::start(&world).await;
        between.fail(SUBSCRIBE, usize::MAX, status);
        let sandbox = between.sandbox(&world).start().await.unwrap();
        undisturbed(&sandbox).await;
        let line = the_line(&sandbox, "refused the subscription");
        assert!(line.contains(&status.to_string()), "{line}");
        assert_eq!(sandbox.extension_output().len(), 1, "{:#?}", sandbox.extension_output());
        assert_eq!((world.puts(), world.spools()), (0, Vec::new()), "{status}: nothing was said");
    }
}

/// Nothing can be done but to ask again. The function has its response meanwhile.
#[tokio::test]
async fn a_platform_that_hands_out_no_events_for_a_while_is_asked_until_it_does() {
    for status in [403, 500, CUT] {
        let world = World::new().await;
        let between = Between::start(&world).await;
        between.fail(NEXT, 6, status);
        let sandbox = between.sandbox(&world).start().await.unwrap();
        assert!(between.has_failed(NEXT));
        the_line(&sandbox, "does not hand out events");

        between.fail(NEXT, 3, status);
        undisturbed(&sandbox).await;
        assert!(between.has_failed(NEXT));
        assert_eq!(sandbox.extension_output().len(), 1, "{status}: {:#?}", sandbox.extension_output());
        assert_all_is_delivered(&world, &sandbox).await;
    }
}

/// An emulator that was stopped, say: nobody is left who could be harmed by an exit.
#[tokio::test]
async fn a_process_whose_platform_is_gone_closes_its_spool_and_exits() {
    let world = World::new().await;
    let between = Between::start(&world).await;
    let sandbox = between.sandbox(&world).freeze(false).extension_env("LOGSPOOL_LOG", "info").start().await.unwrap();
    assert!(sandbox.invoke(Work { sleep_ms: 100, ..Work::default() }).await.result.is_ok());
    between.vanish();
    while sandbox.extension_pid().is_some_and(is_alive) {
        world::pause(20).await;
    }
    // The last words of a process are read a moment after its end.
    for _ in 0..500 {
        if sandbox.extension_output().iter().any(|line| line.contains("Ended: ")) {
            break;
        }
        world::pause(20).await;
    }
    the_line(&sandbox, "The platform is gone");
    the_line(&sandbox, "Ended: PlatformGone");
    assert_eq!(world.spools().len(), 1, "it is left to the next life");
    the_line(&sandbox, "reason=shutdown ");

    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    let verdict = world.verdict(&ledgers);
    assert_whole(&verdict);
    assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_telemetry_port_that_is_taken_is_said_in_one_line_and_costs_no_log() {
    let world = World::new().await;
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let sandbox = world.sandbox().extension_env("LOGSPOOL_PORT", port.to_string()).start().await.unwrap();
    undisturbed(&sandbox).await;
    assert_ne!(sandbox.subscriptions()[0].port, port);
    let line = the_line(&sandbox, "The telemetry port is not to be had; another one is used");
    assert!(line.contains(&format!("port={port} ")), "{line}");
    assert_eq!(sandbox.extension_output().len(), 1);
    assert_all_is_delivered(&world, &sandbox).await;
}
