//! What breaks, and what becomes of what workers publish meanwhile.

use std::sync::Arc;

use async_trait::async_trait;
use wardbell::clock::{Clock, SystemClock};
use wardbell::domain::{EventId, WorkerEvent};
use wardbell::ports::{Judged, NotRaised, Published, Raise, Raised, StoreError};

use super::{Ward, assert_told, message, publish, three};
use crate::bus::node::database;
use crate::bus::servers;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;

/// Has an event claimed and dies before it is stored.
struct Dying;

#[async_trait]
impl Raise for Dying {
    async fn judge(&self, published: Published) -> Judged {
        let read = WorkerEvent::read(
            &published.event,
            &published.rooms,
            &published.arguments,
            SystemClock.now(),
        );
        Judged::Ours(read.unwrap())
    }

    async fn raise(&self, _: EventId, _: &WorkerEvent, _: [u8; 32]) -> Result<Raised, NotRaised> {
        std::future::pending().await
    }

    async fn was_raised(&self, _: EventId) -> Result<bool, StoreError> {
        Ok(false)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_should_have_raised_and_died_is_raised_by_others_in_order() {
    let (redis, database) = (Redis::start(), database().await);
    let dying = Ward::raising(&redis.url(), &database, |_| Arc::new(Dying)).await;
    publish(&redis, message(0)).await;
    let speaker = "wardbell:{bridges}:speaker";
    eventually("it speaks", async || {
        (redis.ask(&["PERSIST", speaker]) == "1").then_some(())
    })
    .await;
    let wards = [
        Ward::start(&redis.url(), &database).await,
        Ward::start(&redis.url(), &database).await,
    ];

    for n in 1..50 {
        publish(&redis, message(n)).await;
    }
    dying.kill();
    for n in 50..100 {
        publish(&redis, message(n)).await;
    }

    assert_told(&wards, &(1..100).collect::<Vec<_>>()).await;
    let raised_late: u64 = wards.iter().map(|ward| ward.counted("taken_over")).sum();
    assert!(raised_late >= 49, "{raised_late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_cannot_be_asked_whose_a_message_is_loses_none() {
    let redis = Redis::start();
    let wards = three(&redis).await;
    redis.ask(&["ACL", "SETUSER", "default", "-eval"]);

    for n in 0..20 {
        publish(&redis, message(n)).await;
    }

    for ward in &wards {
        ward.has_settled(20).await;
        eventually("everything is handed on", async || {
            (ward.told().len() >= 20).then_some(())
        })
        .await;
        let mut told = ward.told();
        told.sort_unstable();
        // A step of the clock between two nodes is one event more.
        told.dedup();
        assert_eq!(told, (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed_and_workers_are_heard_again() {
    let redis = Redis::start();
    let wards = three(&redis).await;
    publish(&redis, message(1)).await;
    assert_told(&wards, &[1]).await;

    redis.kill();
    for ward in &wards {
        ward.until_listening(false).await;
    }
    redis.restart();
    for ward in &wards {
        ward.until_listening(true).await;
        ward.node.until_connected().await;
    }
    publish(&redis, message(1)).await;
    publish(&redis, message(2)).await;

    assert_told(&wards, &[1, 1, 2]).await;
    assert_eq!(wards[0].node.counter("bridge_cuts_total"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_is_noticed_although_it_says_nothing() {
    let (redis, database) = (Redis::start(), database().await);
    let ward = Ward::start(&redis.url(), &database).await;

    redis.freeze();
    ward.until_listening(false).await;
    redis.thaw();
    ward.until_listening(true).await;
    publish(&redis, message(1)).await;

    assert_told(&[ward], &[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_cut_off_alone_misses_nothing_that_others_heard() {
    let (redis, database) = (Redis::start(), database().await);
    let proxy = Proxy::to(redis.addr()).await;
    let wards = [
        Ward::start(&format!("redis://{}", proxy.addr()), &database).await,
        Ward::start(&redis.url(), &database).await,
    ];

    proxy.cut();
    wards[0].until_listening(false).await;
    publish(&redis, message(1)).await;
    wards[1].has_settled(1).await;
    proxy.restore();
    wards[0].until_listening(true).await;
    publish(&redis, message(2)).await;
    wards[0].has_settled(1).await;
    wards[1].has_settled(2).await;

    for ward in &wards {
        eventually("everything is handed on", async || {
            (ward.told().len() >= 2).then_some(())
        })
        .await;
        assert_eq!(ward.told(), [1, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_forgets_in_between_costs_no_event() {
    let redis = Redis::start();
    let wards = three(&redis).await;
    for _ in 0..3 {
        publish(&redis, message(7)).await;
    }
    for ward in &wards {
        ward.has_settled(3).await;
    }

    redis.ask(&["FLUSHALL"]);
    for _ in 0..3 {
        publish(&redis, message(7)).await;
    }

    assert_told(&wards, &[7; 6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_heard_at_the_master_that_sentinels_name_when_the_first_is_killed() {
    let ((master, replica, _sentinels, url), database) = (servers::sentinels().await, database().await);
    let wards = [Ward::start(&url, &database).await, Ward::start(&url, &database).await];
    publish(&master, message(1)).await;
    assert_told(&wards, &[1]).await;

    master.kill();
    eventually("the replica is the master", async || {
        replica.ask(&["ROLE"]).starts_with("master").then_some(())
    })
    .await;
    for ward in &wards {
        ward.until_listening(true).await;
        ward.node.until_connected().await;
    }
    publish(&replica, message(1)).await;
    publish(&replica, message(2)).await;

    assert_told(&wards, &[1, 1, 2]).await;
}
