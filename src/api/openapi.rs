//! The OpenAPI document: what the handlers say of themselves, and the frame around it.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

pub(super) const ALERTS: &str = "alerts";
pub(super) const RISK: &str = "risk";
pub(super) const TRIAGE: &str = "triage";
pub(super) const STAFF: &str = "staff";
pub(super) const BEDS: &str = "beds";
pub(super) const OPERATING: &str = "operating";

/// The document without its paths; each handler brings its own.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "wardbell",
        description = "The alert server for hospitals. What is POSTed here is stored, then told to the browsers in the rooms \
                       concerned, over Socket.IO.\n\n\
                       A 2xx means that it is durable, unless it says itself that it is not delivered yet. A 503 means that \
                       nothing was promised: send it again, best with an `Idempotency-Key`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = ALERTS, description = "Raise alerts, and read what was raised"),
        (name = RISK, description = "Predictions, and what follows from them"),
        (name = TRIAGE, description = "Triage cases"),
        (name = STAFF, description = "Who is on duty"),
        (name = BEDS, description = "Beds and capacity"),
        (name = OPERATING, description = "For operators and machines"),
    ),
    components(schemas(super::schema::Problem)),
    security(("bearer" = [])),
    modifiers(&Bearer),
)]
pub(super) struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "An access token with the claims `sub` and `role`; in open mode (loopback only) none is asked for. For the routes \
                 under `ehr`, one with the claims `id` and `tenantId`, or one of role `service`, in every mode.",
            ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    }
}
