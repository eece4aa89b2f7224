//! `/api/alerts` and `/api/hospital/alert`.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, json, raw};
use super::error::ApiError;
use super::extract::{Caller, PathId, Query};
use super::fields::Fields;
use super::openapi::ALERTS;
use super::posted::{Asked, Posted};
use super::schema::{self, IdempotencyKey, ReadProblems, WriteProblems};
use super::values::{FieldValue, Why};
use crate::domain::access::Action;
use crate::domain::alert::{HospitalAlertType, PatientAlertType};
use crate::domain::{AlertScope, EventId, Timestamp};
use crate::ports::{AlertRecord, HistoryPage};
use crate::service::{AlertRaised, Durable, HistoryRequest, HospitalAlert, PatientAlert};

/// Alerts of a page of the history, unless the request says otherwise.
const DEFAULT_LIMIT: usize = 100;
/// The most that a page can hold.
const MAX_LIMIT: usize = 1_000;

// ---------------------------------------------------------------- raising

impl Asked for PatientAlert {
    type Documented = schema::PatientAlert;
    const ACTION: Action = Action::AlertPatient;
    const IS_RATE_LIMITED: bool = false;

    fn read(fields: &mut Fields) -> Option<Self> {
        let patient_id = fields.required("patient_id");
        let hospital_id = fields.optional("hospital_id");
        let alert_type = fields.required("alert_type");
        let alert_data = fields.required("alert_data");
        Some(Self {
            patient_id: patient_id?,
            hospital_id,
            alert_type: alert_type?,
            alert_data: alert_data?,
        })
    }
}

impl Asked for HospitalAlert {
    type Documented = schema::HospitalAlert;
    const ACTION: Action = Action::AlertHospital;
    const IS_RATE_LIMITED: bool = false;

    fn read(fields: &mut Fields) -> Option<Self> {
        let hospital_id = fields.required("hospital_id");
        let alert_type = fields.required("alert_type");
        let message = fields.optional("message");
        let alert_data = fields.optional("alert_data").unwrap_or_default();
        Some(Self {
            hospital_id: hospital_id?,
            alert_type: alert_type?,
            message,
            alert_data,
        })
    }
}

/// An alert was kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Raised {
    #[schema(value_type = uuid::Uuid)]
    alert_id: EventId,
    /// When it was raised, by the server's clock.
    #[schema(value_type = schema::Time)]
    timestamp: Timestamp,
    /// Only with 202: too many alerts of this patient lately, so it is in the history and nobody was told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(value_type = Option<bool>)]
    suppressed: bool,
    /// Only while the database is gone: it is kept on the server's own disk and moves there later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Durable>)]
    durable: Option<Durable>,
}

fn raised(
    AlertRaised {
        alert_id,
        timestamp,
        suppressed,
        durable,
    }: &AlertRaised,
) -> Answer {
    let status = if *suppressed {
        StatusCode::ACCEPTED
    } else {
        StatusCode::CREATED
    };
    json(
        status,
        &Raised {
            alert_id: *alert_id,
            timestamp: *timestamp,
            suppressed: *suppressed,
            durable: *durable,
        },
    )
}

/// Raise a patient's alert
///
/// Tells `patient_{patient_id}`: `patient_alert`. For doctors, nurses, staff, administrators and services.
#[utoipa::path(
    post, path = "/api/alerts/patient", operation_id = "alert_patient", tag = ALERTS, params(IdempotencyKey), request_body = schema::PatientAlert,
    responses(
        (status = 201, description = "It is durable, and on its way", body = Raised),
        (status = 202, description = "It is durable, and nobody was told: too many alerts of this patient lately", body = Raised,
         example = json!({"alert_id": "019c5a3e-7b1c-7c3e-8a52-6f1b2c3d4e5f", "timestamp": "2026-02-15T10:30:00.123456+00:00", "suppressed": true})),
        WriteProblems,
    )
)]
pub(super) async fn raise_for_patient(State(api): State<Api>, posted: Posted<PatientAlert>) -> Answer {
    let alerts = &api.services.alerts;
    posted
        .once(
            &api,
            |by, alert, once| async move { alerts.raise_for_patient(&by, alert, once).await },
            raised,
        )
        .await
}

/// Raise a hospital's alert
///
/// Tells `hospital_{hospital_id}`: `hospital_alert`.
#[utoipa::path(
    post, path = "/api/hospital/alert", operation_id = "alert_hospital", tag = ALERTS, params(IdempotencyKey), request_body = schema::HospitalAlert,
    responses((status = 201, description = "It is durable, and on its way", body = Raised), WriteProblems)
)]
pub(super) async fn raise_for_hospital(State(api): State<Api>, posted: Posted<HospitalAlert>) -> Answer {
    let alerts = &api.services.alerts;
    posted
        .once(
            &api,
            |by, alert, once| async move { alerts.raise_for_hospital(&by, alert, once).await },
            raised,
        )
        .await
}

// ---------------------------------------------------------------- reading

fn history_request(mut fields: Fields) -> Result<HistoryRequest, ApiError> {
    let request = HistoryRequest {
        patient_id: fields.optional("patient_id"),
        hospital_id: fields.optional("hospital_id"),
        since: fields.optional("since"),
        until: fields.optional("until"),
        alert_type: fields
            .optional::<AnyAlertType>("alert_type")
            .map(|AnyAlertType(name)| name.to_owned()),
        cursor: fields.number("cursor", 1..=i64::MAX.unsigned_abs()),
        after: fields.optional("after"),
        limit: fields.limit("limit", DEFAULT_LIMIT, MAX_LIMIT),
    };
    fields.finish(Some(request))
}

/// The `alert_type` of a patient's or a hospital's alert.
struct AnyAlertType(&'static str);

impl FieldValue for AnyAlertType {
    fn from_value(value: serde_json::Value) -> Result<Self, Why> {
        let text = String::from_value(value)?;
        let patients = text.parse::<PatientAlertType>().map(PatientAlertType::as_str).ok();
        let hospitals = || text.parse::<HospitalAlertType>().map(HospitalAlertType::as_str).ok();
        patients
            .or_else(hospitals)
            .map(Self)
            .ok_or_else(|| "must be critical, warning, info, emergency, capacity or system".into())
    }
}

/// Past alerts, newest first
///
/// An array of payloads exactly as they were emitted; one that was suppressed says `"suppressed": true`. Where there are more,
/// the header `Link` names the next page. Without a patient and a hospital: the asker's own hospital (patients: their own);
/// those who are bound to none see all.
#[utoipa::path(
    get, path = "/api/alerts/history", operation_id = "read_alerts", tag = ALERTS, params(schema::History),
    responses(
        (status = 200, description = "Payloads as they were emitted, newest first", body = Vec<Object>,
         headers(("Link" = String, description = "`</api/alerts/history?…>; rel=\"next\"` where there are more"))),
        ReadProblems,
    )
)]
pub(super) async fn history(State(api): State<Api>, Caller(by): Caller, Query(fields): Query) -> Answer {
    let request = history_request(fields)?;
    let HistoryPage { alerts, next } = api.services.alerts.history(&by, request.clone()).await?;

    let length = alerts.iter().map(|payload| payload.as_json().len() + 1).sum::<usize>() + 2;
    let mut array = String::with_capacity(length);
    array.push('[');
    for (n, payload) in alerts.iter().enumerate() {
        if n > 0 {
            array.push(',');
        }
        array.push_str(payload.as_json());
    }
    array.push(']');

    let mut response = raw(StatusCode::OK, array);
    if let Some(cursor) = next {
        let link = HeaderValue::try_from(next_page(&HistoryRequest {
            cursor: Some(cursor),
            ..request
        }))
        .map_err(|error| ApiError::internal().because(error))?;
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// The same question about the next page, as an RFC 8288 link.
fn next_page(request: &HistoryRequest) -> String {
    let HistoryRequest {
        patient_id,
        hospital_id,
        since,
        until,
        alert_type,
        cursor,
        after,
        limit,
    } = request;
    let mut link = format!("</api/alerts/history?limit={limit}");
    let mut parameter = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Of all that these values can hold, only a timestamp's `+` and `:` mean something in a query or should not stand there.
            let value = value.replace('+', "%2B").replace(':', "%3A");
            link.extend(["&", name, "=", &value]);
        }
    };
    parameter("patient_id", patient_id.as_ref().map(ToString::to_string));
    parameter("hospital_id", hospital_id.as_ref().map(ToString::to_string));
    parameter("since", since.map(|at| at.to_string()));
    parameter("until", until.map(|at| at.to_string()));
    parameter("alert_type", alert_type.clone());
    parameter("after", after.map(|event| event.to_string()));
    parameter("cursor", cursor.map(|cursor| cursor.to_string()));
    link.push_str(">; rel=\"next\"");
    link
}

/// What became of an alert.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Timeline<'a> {
    #[schema(value_type = uuid::Uuid)]
    alert_id: EventId,
    /// The event that tells it: `patient_alert` or `hospital_alert`.
    #[schema(example = "patient_alert")]
    event: &'a str,
    /// `patient` or `hospital`.
    #[schema(example = "patient")]
    scope: &'static str,
    /// When it was raised.
    #[schema(value_type = schema::Time)]
    raised_at: Timestamp,
    /// When it was durable.
    #[schema(value_type = schema::Time)]
    stored_at: Timestamp,
    /// When it was given its place in the order of all events; `null` for one that is not published (yet).
    #[schema(value_type = Option<schema::Time>)]
    published_at: Option<Timestamp>,
    /// Too many alerts of this patient then: kept, and nobody was told.
    suppressed: bool,
    /// Sockets that it was sent to as it happened.
    delivered: u64,
    /// Sockets that got it when they came back.
    recovered: u64,
    /// The payload as it was emitted.
    #[schema(value_type = Object)]
    payload: &'a RawValue,
}

/// What became of an alert
///
/// Raised, stored, published, delivered to how many sockets, recovered by how many.
#[utoipa::path(
    get, path = "/api/alerts/{alert_id}", operation_id = "read_alert", tag = ALERTS, params(("alert_id" = uuid::Uuid, Path, description = "The alert")),
    responses(
        (status = 200, description = "What became of it", body = Timeline<'_>),
        (status = 404, description = "There is none, or it is not for the asker", body = schema::Problem),
        ReadProblems,
    )
)]
pub(super) async fn timeline(State(api): State<Api>, Caller(by): Caller, PathId(id): PathId<EventId>) -> Answer {
    let AlertRecord {
        event,
        scope,
        stored_at,
        published_at,
        delivered,
        recovered,
    } = api.services.alerts.timeline(&by, id).await?;
    let payload: &RawValue =
        serde_json::from_str(event.payload.as_json()).map_err(|error| ApiError::internal().because(error))?;
    let timeline = Timeline {
        alert_id: event.id,
        event: event.name.as_str(),
        scope: match scope {
            AlertScope::Patient => "patient",
            AlertScope::Hospital => "hospital",
        },
        raised_at: event.raised_at,
        stored_at,
        published_at,
        suppressed: event.alert.as_ref().is_some_and(|alert| alert.is_suppressed),
        delivered,
        recovered,
        payload,
    };
    json(StatusCode::OK, &timeline)
}
