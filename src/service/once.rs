//! Requests that have their effect once (`Idempotency-Key`).

/// The `Idempotency-Key` of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceKey {
    /// Who asked and for what: keys of different callers or routes never meet.
    pub scope: String,
    /// The key as it was sent.
    pub key: String,
    /// SHA-256 of the request's body.
    pub fingerprint: [u8; 32],
}
