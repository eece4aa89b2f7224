//! What is published, and by whichever means: one event of each publication, in order.

use std::collections::HashSet;

use serde_json::json;
use wardbell::domain::Position;

use super::{Ward, assert_told, message, publish, three};
use crate::bus::node::database;
use crate::bus::servers;
use crate::support::certificates::Certificates;
use crate::support::in_time;
use crate::support::redis::Redis;

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_hear_a_message_and_it_is_one_event_in_the_order_of_publishing() {
    let redis = Redis::start();
    let wards = three(&redis).await;

    for n in 0..300 {
        assert_eq!(publish(&redis, message(n)).await, 3);
    }

    assert_told(&wards, &(0..300).collect::<Vec<_>>()).await;
    let raised: u64 = wards.iter().map(|ward| ward.counted("raised")).sum();
    assert_eq!(raised, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_published_again_are_another_event() {
    let redis = Redis::start();
    let wards = three(&redis).await;

    for _ in 0..100 {
        publish(&redis, message(7)).await;
    }

    assert_told(&wards, &[7; 100]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_later_neither_doubles_nor_swallows_the_same_bytes() {
    let (redis, database) = (Redis::start(), database().await);
    let first = Ward::start(&redis.url(), &database).await;
    publish(&redis, message(7)).await;
    first.has_settled(1).await;

    let second = Ward::start(&redis.url(), &database).await;
    publish(&redis, message(7)).await;
    publish(&redis, message(7)).await;
    second.has_settled(2).await;
    first.has_settled(3).await;
    // Now it counts alone.
    first.kill();
    publish(&redis, message(7)).await;
    second.has_settled(3).await;

    let kept = second.node.store.published_after(Position::START, 100).await.unwrap();
    let of_worker = kept
        .iter()
        .filter(|positioned| positioned.event.payload.as_json().contains(r#""n":7"#));
    assert_eq!(of_worker.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bytes_cost_a_counter() {
    let (redis, database) = (Redis::start(), database().await);
    let ward = Ward::start(&redis.url(), &database).await;
    let deep = [&b"\x80\x04"[..], &vec![b']'; 45_000], &vec![b'a'; 44_999], b"."].concat();
    let rooms: Vec<String> = (0..1_001).map(|n| format!("patient_{n}")).collect();

    for body in [
        &b""[..],
        b"\xff\xfe",
        b"\x80\x04cos\nsystem\n\x8c\x02id\x85R.",
        &deep,
        b"[[[[",
        json!({"method": "emit", "event": "patient_alert", "data": [{}], "room": rooms})
            .to_string()
            .as_bytes(),
    ] {
        publish(&redis, body).await;
    }
    publish(&redis, vec![b' '; 100_001]).await;
    publish(
        &redis,
        r#"{"method":"emit","event":"chat","data":"hi","room":"patient_P1"}"#,
    )
    .await;
    publish(
        &redis,
        r#"{"method":"emit","event":"patient_alert","data":"hi","room":"patient_P1"}"#,
    )
    .await;
    publish(&redis, r#"{"method":"close_room","room":"patient_P1"}"#).await;
    let excluding = message(1).replace(r#""room""#, r#""skip_sid":"someone","room""#);
    publish(&redis, excluding).await;
    assert_told(std::slice::from_ref(&ward), &[1]).await;

    for (result, count) in [
        ("malformed", 6),
        ("too_large", 1),
        ("unknown", 1),
        ("refused", 1),
        ("foreign", 1),
        ("raised", 1),
    ] {
        assert_eq!(ward.counted(result), count, "{result}");
    }
    assert_eq!(ward.node.counter("bridge_exclusions_total"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_acl_with_the_least_that_is_needed() {
    let redis = Redis::start();
    redis.ask(&[
        "ACL",
        "SETUSER",
        "ward",
        "on",
        ">sesame",
        "~wardbell:*",
        "resetchannels",
        "&flask-socketio",
        "&socket.io#/#*",
        "-@all",
        // what the bus needs
        "+xadd",
        "+xread",
        "+xrevrange",
        "+xtrim",
        "+time",
        // what the bridges need beside it
        "+subscribe",
        "+psubscribe",
        "+ping",
        "+eval",
        "+hget",
        "+hset",
        "+hdel",
        "+pexpire",
        "+get",
        "+set",
    ]);
    let database = database().await;
    let url = format!("redis://ward:sesame@{}", redis.addr());
    let wards = [Ward::start(&url, &database).await, Ward::start(&url, &database).await];

    publish(&redis, message(7)).await;
    publish(&redis, message(7)).await;

    assert_told(&wards, &[7, 7]).await;
    assert_eq!(wards[0].counted("raised") + wards[1].counted("raised"), 2, "by claims");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_it_does_not_matter_where_anything_is_published() {
    let (servers, database) = (servers::cluster().await, database().await);
    let mut wards = Vec::new();
    for server in &servers {
        wards.push(Ward::start(&format!("redis+cluster://{}", server.addr()), &database).await);
    }

    for n in 0..30 {
        publish(&servers[n % 3], message(n as u64 / 2)).await;
        let settled = n as u64 + 1;
        wards[n % 3].has_settled(settled).await;
    }

    let expected: Vec<u64> = (0..30).map(|n| n / 2).collect();
    assert_told(&wards, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_heard_over_tls() {
    let certificates = Certificates::new();
    let ((redis, url), database) = (servers::with_tls(&certificates), database().await);
    let authorities = std::fs::read(certificates.file("ca.pem")).unwrap();
    let ward = Ward::trusting(&url, &authorities, &database).await;

    publish(&redis, message(1)).await;

    assert_told(&[ward], &[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_replaced_after_a_huge_message_and_nothing_is_missed_or_doubled() {
    let redis = Redis::start();
    let wards = three(&redis).await;
    let first = subscriptions(&redis);

    publish(&redis, vec![b'['; 5 << 20]).await;
    let mut published = 0;
    in_time("every connection is replaced", async {
        while !subscriptions(&redis).is_disjoint(&first) {
            publish(&redis, message(published)).await;
            published += 1;
        }
    })
    .await;
    publish(&redis, message(published)).await;

    assert_told(&wards, &(0..=published).collect::<Vec<_>>()).await;
    for ward in &wards {
        assert_eq!(ward.counted("too_large"), 1);
        assert_eq!(ward.node.counter("bridge_cuts_total"), 0);
    }
}

/// The connections that listen, by their numbers.
fn subscriptions(redis: &Redis) -> HashSet<String> {
    let list = redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    let numbers = list.lines().filter_map(|line| line.split(' ').next());
    numbers.map(str::to_owned).collect()
}
