//! The rooms of contract B, §4. Every name begins with its tenant, and no id can be read as part of another name.

use crate::domain::{PatientId, RoomName, TenantId, ThreadId, UserId};

/// Everybody of a tenant.
pub(super) fn tenant(tenant: &TenantId) -> RoomName {
    RoomName::from(format!("tenant:{}", written(tenant.as_str())).as_str())
}

/// All sockets of one user.
pub(super) fn user(of: &TenantId, user: &UserId) -> RoomName {
    inside(of, "user", user.as_str())
}

/// Whoever has a thread open.
pub(super) fn thread(of: &TenantId, thread: &ThreadId) -> RoomName {
    inside(of, "thread", thread.as_str())
}

/// Whoever views a patient.
pub(super) fn patient(of: &TenantId, patient: &PatientId) -> RoomName {
    inside(of, "patient", patient.as_str())
}

fn inside(of: &TenantId, family: &str, id: &str) -> RoomName {
    RoomName::from(format!("{}:{family}:{}", tenant(of), written(id)).as_str())
}

/// A room inside a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Everybody.
    Tenant,
    /// One user.
    User(UserId),
    /// A thread.
    Thread(ThreadId),
    /// A patient.
    Patient(PatientId),
}

impl Place {
    /// What room of this tenant the name is; `None`: none of this tenant.
    pub(super) fn of(name: &RoomName, of: &TenantId) -> Option<Self> {
        let inside = name.as_str().strip_prefix(tenant(of).as_str())?;
        if inside.is_empty() {
            return Some(Self::Tenant);
        }
        let (family, id) = inside.strip_prefix(':')?.split_once(':')?;
        let id = read(id)?;
        match family {
            "user" => UserId::parse(&id).map(Self::User).ok(),
            "thread" => ThreadId::parse(&id).map(Self::Thread).ok(),
            "patient" => PatientId::parse(&id).map(Self::Patient).ok(),
            _ => None,
        }
    }

    /// Reads how a backend names a room of its tenant: `user:<id>`, `thread:<id>`, `patient:<id>`, or the same behind
    /// `tenant:<t>:`.
    pub(super) fn parse(text: &str, of: &TenantId) -> Option<Self> {
        let prefix = format!("tenant:{of}");
        let inside = match text.strip_prefix(&prefix) {
            Some("") => return Some(Self::Tenant),
            Some(rest) => rest.strip_prefix(':')?,
            None => text,
        };
        let (family, id) = inside.split_once(':')?;
        match family {
            "user" => UserId::parse(id).map(Self::User).ok(),
            "thread" => ThreadId::parse(id).map(Self::Thread).ok(),
            "patient" => PatientId::parse(id).map(Self::Patient).ok(),
            _ => None,
        }
    }

    /// Its name.
    pub(super) fn name(&self, of: &TenantId) -> RoomName {
        match self {
            Self::Tenant => tenant(of),
            Self::User(id) => user(of, id),
            Self::Thread(id) => thread(of, id),
            Self::Patient(id) => patient(of, id),
        }
    }
}

/// An id as part of a name: `:` and whatever else is not plain is written as `%3A`, byte by byte.
fn written(id: &str) -> String {
    let mut written = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.@|".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written.push('%');
            for nibble in [byte >> 4, byte & 0xF] {
                written.extend(char::from_digit(nibble.into(), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    written
}

/// The id that was [`written`].
fn read(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Room;

    fn tenant_id(id: &str) -> TenantId {
        TenantId::parse(id).unwrap()
    }

    #[test]
    fn names_are_those_of_the_contract() {
        let of = tenant_id("clinic-a");

        assert_eq!(tenant(&of).as_str(), "tenant:clinic-a");
        assert_eq!(
            user(&of, &UserId::parse("u1").unwrap()).as_str(),
            "tenant:clinic-a:user:u1"
        );
    }

    #[test]
    fn a_tenant_cannot_be_named_so_that_its_room_is_one_of_another() {
        let sly = tenant(&tenant_id("a:user:b"));

        assert_ne!(sly, user(&tenant_id("a"), &UserId::parse("b").unwrap()));
        assert_eq!(Place::of(&sly, &tenant_id("a")), None);
    }

    #[test]
    fn a_backend_names_rooms_of_its_own_tenant_and_no_others() {
        let of = tenant_id("a");

        assert_eq!(
            Place::parse("patient:P1", &of),
            Some(Place::Patient(PatientId::parse("P1").unwrap()))
        );
        assert_eq!(
            Place::parse("tenant:a:user:u1", &of),
            Some(Place::User(UserId::parse("u1").unwrap()))
        );
        assert_eq!(Place::parse("tenant:a", &of), Some(Place::Tenant));
        for foreign in ["tenant:b", "tenant:b:user:u1", "tenant:ab", "patient_P1", "", "ward:1"] {
            assert_eq!(Place::parse(foreign, &of), None, "{foreign:?}");
        }
    }

    proptest! {
        #[test]
        fn every_room_is_read_back_by_its_tenant_and_by_no_other(
            of in "\\PC{1,40}", other in "\\PC{1,40}", id in "\\PC{1,40}"
        ) {
            let (of, other) = (TenantId::parse(&of), TenantId::parse(&other));
            prop_assume!(of.is_ok() && other.is_ok());
            let (of, other) = (of.unwrap(), other.unwrap());
            let Ok(user_id) = UserId::parse(&id) else { return Ok(()) };

            let name = user(&of, &user_id);

            prop_assert_eq!(Place::of(&name, &of), Some(Place::User(user_id)));
            prop_assert!(name.as_str().parse::<Room>().is_err(), "no room of contract A");
            if of != other {
                prop_assert_eq!(Place::of(&name, &other), None);
                prop_assert_ne!(tenant(&of), tenant(&other));
            }
        }
    }
}
