//! Notifications, contract B §3: which follow from what a backend tells.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::events::{self, Iso};
use super::token;
use crate::domain::{Payload, Timestamp, UserId};

/// How soon somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Low,
    Normal,
    High,
    Urgent,
}

impl Priority {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    /// As tasks and orders say it: `stat` means urgent, `routine` normal, and what nobody knows is normal.
    pub(super) fn of(fields: &Map<String, Value>) -> Self {
        match fields.get("priority").and_then(Value::as_str) {
            Some("low") => Self::Low,
            Some("high") => Self::High,
            Some("urgent" | "stat") => Self::Urgent,
            Some(_) | None => Self::Normal,
        }
    }
}

/// One notification, without what every one gets.
pub(super) struct Notification {
    kind: &'static str,
    title: String,
    message: String,
    priority: Priority,
    related: Option<(&'static str, String)>,
    action: Option<String>,
}

impl Notification {
    /// The payload of `notification:new`.
    pub(super) fn payload(self, now: Timestamp) -> Payload {
        let mut notification = Map::new();
        let mut set = |key: &str, value: Value| notification.insert(key.to_owned(), value);
        set("id", json!(Uuid::now_v7()));
        set("type", json!(self.kind));
        set("title", json!(self.title));
        set("message", json!(self.message));
        set("priority", json!(self.priority.as_str()));
        if let Some((entity, id)) = self.related {
            set("relatedEntityType", json!(entity));
            set("relatedEntityId", json!(id));
        }
        if let Some(action) = self.action {
            set("actionUrl", json!(action));
        }
        set("createdAt", json!(Iso(now)));
        events::nested("notification", &notification, now)
    }
}

fn text(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| token::text(fields.get(*name)?))
}

/// Whom a task is assigned to.
pub(super) fn assignee(task: &Map<String, Value>) -> Option<UserId> {
    UserId::parse(&text(task, &["assignedTo"])?).ok()
}

/// The user of the provider that a result or order belongs to: said as the user's id, else the provider's is the user's. Of
/// both, whoever is responsible for it goes before whoever ordered it.
pub(super) fn providers_user(of: &Map<String, Value>) -> Option<UserId> {
    let names = [
        "providerUserId",
        "orderingProviderUserId",
        "providerId",
        "orderingProviderId",
    ];
    UserId::parse(&text(of, &names)?).ok()
}

/// Somebody has a task.
pub(super) fn task_assigned(id: &str, task: &Map<String, Value>) -> Notification {
    let title = text(task, &["title"]).unwrap_or_else(|| "a task".to_owned());
    Notification {
        kind: "task_assigned",
        title: "New Task Assigned".to_owned(),
        message: format!("You have been assigned: {title}"),
        priority: Priority::of(task),
        related: Some(("task", id.to_owned())),
        action: Some(format!("/tasks/{id}")),
    }
}

/// A laboratory result is there.
pub(super) fn lab_result_ready(id: &str, result: &Map<String, Value>) -> Notification {
    let is_urgent = matches!(
        result.get("flag").and_then(Value::as_str),
        Some("panic_value" | "cancerous")
    );
    let (title, priority) = if is_urgent {
        ("URGENT: Lab Result Ready", Priority::Urgent)
    } else {
        ("Lab Result Ready", Priority::Normal)
    };
    let order = text(result, &["orderId"]).unwrap_or_else(|| id.to_owned());
    Notification {
        kind: "lab_result_ready",
        title: title.to_owned(),
        message: format!("Lab results ready for {}", patient_and_order(result)),
        priority,
        action: Some(format!("/orders/{order}")),
        related: Some(("order", order)),
    }
}

/// An order came, or its status changed.
pub(super) fn order(id: &str, order: &Map<String, Value>, status: Option<&str>) -> Notification {
    let priority = Priority::of(order);
    let is_urgent = priority == Priority::Urgent;
    let (title, message) = match status {
        None => ("New Order", format!("New order for {}", patient_and_order(order))),
        Some(status) => (
            "Order Updated",
            format!("Order for {} is now {status}", patient_and_order(order)),
        ),
    };
    Notification {
        kind: "general",
        title: if is_urgent {
            format!("URGENT: {title}")
        } else {
            title.to_owned()
        },
        message,
        priority,
        related: Some(("order", id.to_owned())),
        action: Some(format!("/orders/{id}")),
    }
}

/// `<patientName>: <orderType>`, as far as both are known.
fn patient_and_order(of: &Map<String, Value>) -> String {
    let patient = text(of, &["patientName"]).unwrap_or_else(|| "a patient".to_owned());
    match text(of, &["orderType", "testName", "type"]) {
        Some(kind) => format!("{patient}: {kind}"),
        None => patient,
    }
}

/// A prior authorisation has come on.
pub(super) fn prior_authorisation(id: &str, authorisation: &Map<String, Value>, status: &str) -> Notification {
    let patient = text(authorisation, &["patientName"]).unwrap_or_else(|| "a patient".to_owned());
    Notification {
        kind: "prior_auth_status",
        title: "Prior Authorization Update".to_owned(),
        message: format!("Prior auth for {patient} is now {status}"),
        priority: Priority::Normal,
        related: Some(("task", id.to_owned())),
        action: Some(format!("/prior-auth/{id}")),
    }
}

/// Everybody of a tenant must know. `None`: it says nothing.
pub(super) fn urgent_alert(alert: &Map<String, Value>) -> Option<Notification> {
    Some(Notification {
        kind: "urgent_alert",
        title: text(alert, &["title"]).unwrap_or_else(|| "Urgent Alert".to_owned()),
        message: text(alert, &["message"])?,
        priority: Priority::Urgent,
        related: None,
        action: text(alert, &["actionUrl"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: Value) -> Map<String, Value> {
        json.as_object().unwrap().clone()
    }

    /// Without what is new each time.
    fn shown(notification: Notification) -> Value {
        let payload = notification.payload(Timestamp::from_micros(0));
        let mut payload: Value = serde_json::from_str(payload.as_json()).unwrap();
        let id = payload["notification"].as_object_mut().unwrap().remove("id").unwrap();
        id.as_str().unwrap().parse::<Uuid>().unwrap();
        assert_eq!(payload["timestamp"], "1970-01-01T00:00:00.000Z");
        payload["notification"].take()
    }

    #[test]
    fn a_task_is_told_with_its_own_priority() {
        let task = fields(json!({"title": "Call back", "priority": "high"}));

        assert_eq!(
            shown(task_assigned("t1", &task)),
            json!({"type": "task_assigned", "title": "New Task Assigned", "message": "You have been assigned: Call back",
                   "priority": "high", "relatedEntityType": "task", "relatedEntityId": "t1", "actionUrl": "/tasks/t1",
                   "createdAt": "1970-01-01T00:00:00.000Z"})
        );
    }

    #[test]
    fn a_result_that_cannot_wait_is_urgent_and_says_so() {
        for (flag, title, priority) in [
            ("panic_value", "URGENT: Lab Result Ready", "urgent"),
            ("cancerous", "URGENT: Lab Result Ready", "urgent"),
            ("normal", "Lab Result Ready", "normal"),
        ] {
            let result = fields(json!({"orderId": "o1", "flag": flag, "patientName": "E. M.", "orderType": "CBC"}));

            let shown = shown(lab_result_ready("r1", &result));

            assert_eq!((&shown["title"], &shown["priority"]), (&json!(title), &json!(priority)));
            assert_eq!(shown["message"], "Lab results ready for E. M.: CBC");
            assert_eq!(
                (&shown["relatedEntityType"], &shown["actionUrl"]),
                (&json!("order"), &json!("/orders/o1"))
            );
        }
    }

    #[test]
    fn a_prior_authorisation_and_an_urgent_alert_are_told_in_the_words_of_the_contract() {
        let authorisation = fields(json!({"patientName": "E. M."}));

        let shown_one = shown(prior_authorisation("a1", &authorisation, "approved"));
        let alert = urgent_alert(&fields(json!({"message": "Evacuate"}))).unwrap();

        assert_eq!(shown_one["message"], "Prior auth for E. M. is now approved");
        assert_eq!(shown_one["actionUrl"], "/prior-auth/a1");
        assert_eq!(shown(alert)["priority"], "urgent");
        assert!(urgent_alert(&fields(json!({}))).is_none());
    }

    #[test]
    fn whoever_is_responsible_is_notified_and_not_whoever_entered_it() {
        for (given, user) in [
            (json!({"providerId": "D1", "userId": "clerk7"}), Some("D1")),
            (json!({"providerUserId": "u1", "providerId": "D1"}), Some("u1")),
            (json!({"orderingProviderUserId": "u2", "providerId": "D1"}), Some("u2")),
            (json!({"orderingProviderId": "D2"}), Some("D2")),
            (json!({"userId": "clerk7"}), None),
        ] {
            let notified = providers_user(&fields(given.clone()));

            assert_eq!(notified.as_ref().map(UserId::as_str), user, "{given}");
        }
    }

    #[test]
    fn stat_is_urgent_and_routine_is_normal() {
        for (said, meant) in [
            ("stat", Priority::Urgent),
            ("routine", Priority::Normal),
            ("medium", Priority::Normal),
        ] {
            assert_eq!(Priority::of(&fields(json!({"priority": said}))), meant, "{said}");
        }
    }
}
