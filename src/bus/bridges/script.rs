//! The script that says which event a message is, and who raises it; what it is asked and what it answers.

use std::time::Duration;

use super::heard::{Digest, Memory, Receipt, RedisTime};
use crate::bus::redis::{Link, LinkError};
use crate::domain::EventId;

/// How long Redis may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// How long Redis knows of a message after the last claim on it. Longer than any node is behind.
const KNOWN_FOR: Duration = Duration::from_mins(5);
/// How many claims on the same bytes are kept. A node that is further behind leaves them to whoever claimed them.
const CLAIMS_KEPT: u16 = 1_000;
/// How long a node remains the speaker after it last asked.
const SPEAKS_FOR: Duration = Duration::from_secs(1);
/// Answers: the claim that was counted from, the number of the claim that this receipt is, its event's id, the time, and whether
/// the listener is the speaker.
///
/// `ARGV`: the claim that the listener counts from, and at which it is; since when it would know better; its proposal; how many
/// claims are kept, and for how many milliseconds; who it is, and for how many milliseconds it remains the speaker. Where the
/// listener knows nothing, its receipt is the first claim that it could have heard of.
const CLAIM: &str = r"
local key, counted, number, since, proposal = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local kept = tonumber(ARGV[5])
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
local first = redis.call('HGET', key, 'first')
local last = tonumber(redis.call('HGET', key, 'last') or 0)
local receipt = last + 1
if first and first == counted then
  receipt = number + 1
else
  for claim = math.max(1, last - kept + 1), last do
    if tonumber(redis.call('HGET', key, 'at' .. claim) or 0) >= since then
      receipt = claim
      break
    end
  end
end
if receipt > last then
  if not first then
    first = proposal
    redis.call('HSET', key, 'first', first)
  end
  redis.call('HSET', key, 'last', receipt, 'id' .. receipt, proposal, 'at' .. receipt, now)
  redis.call('HDEL', key, 'id' .. (receipt - kept), 'at' .. (receipt - kept))
end
redis.call('PEXPIRE', key, ARGV[6])
local speaker = redis.call('GET', KEYS[2])
if not speaker or speaker == ARGV[7] then
  redis.call('SET', KEYS[2], ARGV[7], 'PX', ARGV[8])
  speaker = ARGV[7]
end
local id = redis.call('HGET', key, 'id' .. receipt) or ''
return { first, receipt, id, now, speaker == ARGV[7] and 1 or 0 }
";
/// Answers the time of the server that has this key.
const TIME: &str = "local time = redis.call('TIME') return tonumber(time[1]) * 1000000 + tonumber(time[2])";

const SPEAKER: &str = "speaker";

/// A message that Redis is asked about.
pub(super) struct Question<'a> {
    /// What every key of ours begins with.
    pub(super) prefix: &'a str,
    /// What this node calls itself.
    pub(super) listener: &'a str,
    pub(super) digest: &'a Digest,
    /// The id that the event gets if nobody has proposed another.
    pub(super) proposal: EventId,
}

/// What Redis says to it.
pub(super) struct Answer {
    pub(super) receipt: Receipt,
    /// `None`: the claim was so long ago that it is no longer kept.
    pub(super) id: Option<EventId>,
    /// Whether this node is the speaker.
    pub(super) speaks: bool,
}

impl Question<'_> {
    /// As a command, of a listener that remembers this much.
    pub(super) fn command(&self, memory: &Memory) -> redis::Cmd {
        let (receipt, since) = memory.of(self.digest);
        let (first, number) = receipt.map_or(("", 0), |receipt| (receipt.first.as_str(), receipt.number));
        let mut command = redis::cmd("EVAL");
        command
            .arg(CLAIM)
            .arg(2)
            .arg(key(self.prefix, &format!("heard:{}", hex(self.digest))))
            .arg(key(self.prefix, SPEAKER))
            .arg(first)
            .arg(number)
            .arg(since)
            .arg(self.proposal.to_string())
            .arg(CLAIMS_KEPT)
            .arg(KNOWN_FOR.as_millis().to_string())
            .arg(self.listener)
            .arg(SPEAKS_FOR.as_millis().to_string());
        command
    }
}

/// Asks.
pub(super) async fn ask(mut link: Link, command: redis::Cmd) -> Result<Answer, LinkError> {
    let (first, number, id, at, speaks): (String, u64, String, RedisTime, bool) =
        timely(command.query_async(&mut link)).await?;
    Ok(Answer {
        receipt: Receipt { first, number, at },
        id: id.parse().ok(),
        speaks,
    })
}

/// The time by the clock that claims are noted with. In a Cluster each server has one of its own.
pub(super) async fn time(link: &mut Link, prefix: &str) -> Result<RedisTime, LinkError> {
    let mut command = redis::cmd("EVAL");
    command.arg(TIME).arg(1).arg(key(prefix, SPEAKER));
    timely(command.query_async(link)).await
}

/// A key of the bridges. All of them are in one place of a Cluster: one script uses two.
fn key(prefix: &str, name: &str) -> String {
    format!("{prefix}:{{bridges}}:{name}")
}

fn hex(digest: &Digest) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a text cannot fail.
        write!(hex, "{byte:02x}").ok();
        hex
    })
}

async fn timely<T>(asked: impl Future<Output = redis::RedisResult<T>>) -> Result<T, LinkError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(LinkError::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_one_prefix_are_in_one_place_of_a_cluster() {
        assert_eq!(key("wardbell", SPEAKER), "wardbell:{bridges}:speaker");
        assert_eq!(hex(&[0xab; 32]), "ab".repeat(32));
    }
}
