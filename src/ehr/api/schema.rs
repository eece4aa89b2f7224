//! What bodies and answers look like, for the OpenAPI document alone: nothing here is ever built.

#![expect(clippy::struct_field_names, reason = "the names are the wire's")]
#![expect(
    dead_code,
    reason = "nothing here is ever built: it describes what other types read and write"
)]

use serde_json::{Map, Value};
use utoipa::{IntoParams, IntoResponses, OpenApi, ToSchema};

/// The group of these routes.
pub(super) const EHR: &str = "ehr";

/// What contract B adds to the document, without its paths.
#[derive(OpenApi)]
#[openapi(
    components(schemas(Problem, Told)),
    tags((name = EHR, description = "A clinic's EHR: its backend tells after its own commit, and its pages hear. A token \
    with the claims `id` and `tenantId`, or one of role `service`")))]
pub(super) struct Document;

/// What a question says.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Asking {
    /// Whose it is. A token that names a tenant must name the same.
    #[param(rename = "x-tenant-id", example = "clinic-a")]
    tenant: String,
}

/// What a request says that tells something.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Telling {
    /// Whose it is. A token that names a tenant must name the same.
    #[param(rename = "x-tenant-id", example = "clinic-a")]
    tenant: String,
    /// For 24 hours the same key and body on the same path get the same answer, with `Idempotency-Replayed: true`, and nothing
    /// is told again; with anything else the key is refused. Keys of other tenants and routes are others.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$",
        example = "4711"
    )]
    key: Option<String>,
}

/// A path that names a thing.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfThing {
    /// Its id
    id: String,
}

/// A path that names a patient.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfPatient {
    /// The patient
    id: String,
}

/// A path that names a thread.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfThread {
    /// The thread
    id: String,
}

/// Whose unread messages a backend asks for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfUser {
    /// The user. A person asks for their own, whatever this says.
    #[param(rename = "userId")]
    user: Option<String>,
}

/// What is wrong.
#[derive(ToSchema)]
#[schema(as = EhrError, example = json!({"error": "Invalid tenant"}))]
pub(super) struct Problem {
    /// In words.
    error: String,
}

/// How every question can be refused.
#[derive(IntoResponses)]
pub(super) enum AskProblems {
    /// No token, or none that is valid
    #[response(status = 401)]
    Unauthorised(Problem),
    /// The tenant is missing, or not the token's
    #[response(status = 403)]
    Forbidden(Problem),
}

/// Something asked for makes no sense
#[derive(IntoResponses)]
#[response(status = 422)]
pub(super) struct NoSense(Problem);

/// It cannot be answered now
#[derive(IntoResponses)]
#[response(status = 503)]
pub(super) struct Away(Problem);

/// How something that is told is answered.
#[derive(IntoResponses)]
pub(super) enum Taken {
    /// It is taken
    #[response(status = 202)]
    Accepted(Told),
    /// The body is no JSON object
    #[response(status = 400)]
    Unreadable(Problem),
    /// No token, or none that is valid
    #[response(status = 401)]
    Unauthorised(Problem),
    /// The tenant is missing, or not the token's
    #[response(status = 403)]
    Forbidden(Problem),
    /// The body is too large
    #[response(status = 413)]
    TooLarge(Problem),
    /// A field is missing or makes no sense, or an `Idempotency-Key` that was used with another body
    #[response(status = 422)]
    Invalid(Problem),
    /// Nothing more can be promised now
    #[response(status = 503)]
    Unavailable(Problem),
}

/// What was told.
#[derive(ToSchema)]
#[schema(as = EhrTold)]
pub(super) struct Told {
    /// The event that the request is about; `null`: nobody had to be told.
    event_id: Option<String>,
    /// Whether it is durable and on its way. If not, and there is an event, that is told as soon as it is possible.
    delivered: bool,
}

/// How an appointment stands.
#[derive(ToSchema)]
#[schema(as = EhrAppointmentStatus, rename_all = "snake_case")]
pub(super) enum AppointmentStatus {
    Scheduled,
    CheckedIn,
    InRoom,
    WithProvider,
    Completed,
    Cancelled,
    NoShow,
}

/// A whole appointment: pages replace what they have by it. It may also come as `{"appointment": …}`.
#[derive(ToSchema)]
#[schema(as = EhrAppointment, rename_all = "camelCase")]
pub(super) struct Appointment {
    /// May be left out where the path names it.
    id: Option<String>,
    patient_id: String,
    patient_name: Option<String>,
    provider_id: String,
    provider_name: Option<String>,
    location_id: String,
    location_name: Option<String>,
    /// ISO 8601 with an offset.
    scheduled_start: String,
    /// ISO 8601 with an offset.
    scheduled_end: String,
    status: AppointmentStatus,
    appointment_type_id: String,
    appointment_type_name: Option<String>,
}

/// Why it was cancelled.
#[derive(ToSchema)]
#[schema(as = EhrCancellation)]
pub(super) struct Cancellation {
    reason: Option<String>,
}

/// A new status.
#[derive(ToSchema)]
#[schema(as = EhrStatusChange, rename_all = "camelCase")]
pub(super) struct StatusChange {
    status: AppointmentStatus,
    /// Needed for `checked_in`.
    patient_id: Option<String>,
    patient_name: Option<String>,
    /// For `cancelled`.
    reason: Option<String>,
    /// The whole appointment; may be left out if it was told before, by any of these routes.
    appointment: Option<Appointment>,
}

/// A message.
#[derive(ToSchema)]
#[schema(as = EhrMessage, rename_all = "camelCase")]
pub(super) struct Message {
    id: String,
    /// May be left out: the path names it.
    thread_id: Option<String>,
    body: String,
    /// A user's id.
    sender: String,
    sender_first_name: Option<String>,
    sender_last_name: Option<String>,
    /// ISO 8601 with an offset.
    created_at: String,
}

/// A message, and who takes part in its thread.
#[derive(ToSchema)]
#[schema(as = EhrSent)]
pub(super) struct Sent {
    message: Message,
    /// Users' ids; may be left out if they were told before.
    #[schema(max_items = 256)]
    participants: Option<Vec<String>>,
}

/// Who takes part in a thread, instead of whoever did.
#[derive(ToSchema)]
#[schema(as = EhrParticipants)]
pub(super) struct Participants {
    /// Users' ids.
    #[schema(max_items = 256)]
    participants: Vec<String>,
}

/// Somebody has read a message.
#[derive(ToSchema)]
#[schema(as = EhrRead, rename_all = "camelCase")]
pub(super) struct Read {
    thread_id: String,
    read_by: String,
    /// ISO 8601 with an offset; now, if it is left out.
    read_at: Option<String>,
}

/// How many messages.
#[derive(ToSchema)]
#[schema(as = EhrCount)]
pub(super) struct Count {
    count: u64,
}

/// A task. It may also come as `{"task": …}`; other fields are not read.
#[derive(ToSchema)]
#[schema(as = EhrTask, rename_all = "camelCase")]
pub(super) struct Task {
    /// May be left out where the path names it.
    id: Option<String>,
    title: Option<String>,
    /// The user who is notified, if they did not have it before. `null`: it is nobody's; left out: that has not changed.
    assigned_to: Option<String>,
    /// `low`, `normal`, `high`, `urgent`.
    priority: Option<String>,
}

/// A result of a laboratory. It may also come as `{"labResult": …}`; other fields are not read.
#[derive(ToSchema)]
#[schema(as = EhrLabResult, rename_all = "camelCase")]
pub(super) struct LabResult {
    /// May be left out where the path names it.
    id: Option<String>,
    order_id: Option<String>,
    /// What was ordered, as people read it; without it `testName`, without that `type`.
    order_type: Option<String>,
    test_name: Option<String>,
    #[schema(rename = "type")]
    kind: Option<String>,
    patient_name: Option<String>,
    /// The provider's user, who is notified; without it the next of these three that is there.
    provider_user_id: Option<String>,
    ordering_provider_user_id: Option<String>,
    /// A provider whose id is their user's as well.
    provider_id: Option<String>,
    ordering_provider_id: Option<String>,
    status: Option<String>,
    /// `panic_value` and `cancerous` are urgent.
    flag: Option<String>,
}

/// An order. It may also come as `{"order": …}`; other fields are not read.
#[derive(ToSchema)]
#[schema(as = EhrOrder, rename_all = "camelCase")]
pub(super) struct Order {
    /// May be left out where the path names it.
    id: Option<String>,
    /// What was ordered, as people read it; without it `testName`, without that `type`.
    order_type: Option<String>,
    test_name: Option<String>,
    #[schema(rename = "type")]
    kind: Option<String>,
    patient_name: Option<String>,
    /// The provider's user, who is notified; without it the next of these three that is there.
    provider_user_id: Option<String>,
    ordering_provider_user_id: Option<String>,
    /// A provider whose id is their user's as well.
    provider_id: Option<String>,
    ordering_provider_id: Option<String>,
    /// May stand beside `order` as well.
    status: Option<String>,
    /// `stat` is urgent, `routine` normal.
    priority: Option<String>,
}

/// What pages show of a patient; told as it is, without what is `null`.
#[derive(ToSchema)]
#[schema(as = EhrPatientData)]
pub(super) struct PatientData(Map<String, Value>);

/// A further event.
#[derive(ToSchema)]
#[schema(as = EhrFurther)]
pub(super) struct Further {
    /// One of the contract's further events, or `urgent_alert`.
    #[schema(example = "encounter:signed")]
    event: String,
    /// Told as it is, without what is `null`.
    entity: Map<String, Value>,
    /// `user:<id>`, `thread:<id>` or `patient:<id>`; everybody of the tenant, if it is left out.
    room: Option<String>,
}

/// Somebody who is there.
#[derive(ToSchema)]
#[schema(as = EhrPerson, rename_all = "camelCase")]
pub(super) struct Person {
    user_id: String,
    user_name: String,
    /// `online` or `away`.
    status: String,
    last_seen: String,
}

/// Somebody who views a patient.
#[derive(ToSchema)]
#[schema(as = EhrViewer, rename_all = "camelCase")]
pub(super) struct Viewer {
    user_id: String,
    user_name: String,
    started_at: String,
}
