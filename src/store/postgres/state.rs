//! The state behind the REST reads.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::PostgresStore;
use super::columns::{Word, free_form, get, optional, parsed, restored, rows, text, timestamp, unsigned};
use super::failure::Failure;
use crate::domain::bed::{Bed, BedBoard, BedCount, BedStatus, CapacityScope};
use crate::domain::staff::{StaffMember, StaffType};
use crate::domain::task::{Task, TaskStatus};
use crate::domain::triage::{TriageCase, TriageStatus};
use crate::domain::{BedId, Fact, HospitalId, PatientId, StaffId, TaskId, TenantId, Topic, TriageId, UserId, WardName};
use crate::ports::{StateStore, StoreError, TriageFilter, TriageHospital};

macro_rules! case_columns {
    () => {
        "triage_id, patient_id, hospital_id, status, extra, created_at, updated_at"
    };
}

macro_rules! cases {
    ($hospital:literal) => {
        concat!(
            "SELECT ",
            case_columns!(),
            " FROM triage_cases WHERE ",
            $hospital,
            " AND ($2::text IS NULL OR patient_id = $2) AND ($3::text IS NULL OR status = $3) \
             ORDER BY created_at, triage_id LIMIT $4"
        )
    };
}

macro_rules! bed_columns {
    () => {
        "bed_id, hospital_id, status, patient_id, ward, floor, extra, updated_at"
    };
}

macro_rules! task_columns {
    () => {
        "task_id, status, request, requested_by, hospital_id, result, error, created_at, updated_at"
    };
}

#[async_trait]
impl StateStore for PostgresStore {
    async fn hospital_of(&self, patient: &PatientId) -> Result<Option<HospitalId>, StoreError> {
        let found = self
            .connections
            .read(
                "SELECT hospital_id FROM patients WHERE patient_id = $1",
                &[&text(patient.as_str())],
            )
            .await?;
        Ok(found.first().map(|row| parsed(row, 0)).transpose()?)
    }

    async fn triage_case(&self, id: &TriageId) -> Result<Option<TriageCase>, StoreError> {
        let found = self
            .connections
            .read(
                concat!("SELECT ", case_columns!(), " FROM triage_cases WHERE triage_id = $1"),
                &[&text(id.as_str())],
            )
            .await?;
        Ok(found.first().map(case).transpose()?)
    }

    async fn triage_cases(&self, filter: &TriageFilter) -> Result<Vec<TriageCase>, StoreError> {
        let (sql, hospital) = match &filter.hospital {
            TriageHospital::Any => (cases!("$1::text IS NULL"), None),
            TriageHospital::Only(id) => (cases!("hospital_id = $1::text"), Some(text(id.as_str()))),
            TriageHospital::OrNone(id) => (
                cases!("(hospital_id = $1::text OR hospital_id IS NULL)"),
                Some(text(id.as_str())),
            ),
            TriageHospital::None => (cases!("hospital_id IS NULL AND $1::text IS NULL"), None),
        };
        let patient = filter.patient_id.as_ref().map(|id| text(id.as_str()));
        let status = filter.status.map(Word::word);
        let found = self
            .connections
            .read(sql, &[&hospital, &patient, &status, &rows(filter.limit)])
            .await?;
        Ok(found.iter().map(case).collect::<Result<_, _>>()?)
    }

    async fn available_staff(&self, hospital: &HospitalId) -> Result<Vec<StaffMember>, StoreError> {
        let found = self
            .connections
            .read(
                "SELECT hospital_id, staff_id, staff_type, available, updated_at FROM staff \
                 WHERE hospital_id = $1 AND available ORDER BY updated_at, staff_id",
                &[&text(hospital.as_str())],
            )
            .await?;
        Ok(found.iter().map(member).collect::<Result<_, _>>()?)
    }

    async fn staff_member(&self, hospital: &HospitalId, id: &StaffId) -> Result<Option<StaffMember>, StoreError> {
        let found = self
            .connections
            .read(
                "SELECT hospital_id, staff_id, staff_type, available, updated_at FROM staff \
                 WHERE hospital_id = $1 AND staff_id = $2",
                &[&text(hospital.as_str()), &text(id.as_str())],
            )
            .await?;
        Ok(found.first().map(member).transpose()?)
    }

    async fn beds(&self, hospital: &HospitalId) -> Result<Vec<Bed>, StoreError> {
        let found = self
            .connections
            .read(
                concat!(
                    "SELECT ",
                    bed_columns!(),
                    " FROM beds WHERE hospital_id = $1 ORDER BY ward NULLS FIRST, bed_id"
                ),
                &[&text(hospital.as_str())],
            )
            .await?;
        Ok(found.iter().map(bed).collect::<Result<_, _>>()?)
    }

    async fn beds_named(&self, id: &BedId) -> Result<Vec<Bed>, StoreError> {
        let found = self
            .connections
            .read(
                concat!(
                    "SELECT ",
                    bed_columns!(),
                    " FROM beds WHERE bed_id = $1 ORDER BY hospital_id"
                ),
                &[&text(id.as_str())],
            )
            .await?;
        Ok(found.iter().map(bed).collect::<Result<_, _>>()?)
    }

    async fn bed_board(&self, hospital: &HospitalId) -> Result<BedBoard, StoreError> {
        // One statement, one snapshot: the counts are those of the revision.
        let found = self
            .connections
            .read(
                "SELECT b.revision, b.raised, c.ward, c.status, c.beds FROM bed_boards b LEFT JOIN ( \
                   SELECT hospital_id, ward, status, count(*) AS beds FROM beds WHERE hospital_id = $1 \
                   GROUP BY hospital_id, ward, status \
                 ) c USING (hospital_id) WHERE b.hospital_id = $1 ORDER BY c.ward NULLS FIRST, c.status",
                &[&text(hospital.as_str())],
            )
            .await?;
        Ok(board(&found)?)
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let found = self
            .connections
            .read(
                concat!("SELECT ", task_columns!(), " FROM tasks WHERE task_id = $1"),
                &[&id.as_uuid()],
            )
            .await?;
        Ok(found.first().map(task).transpose()?)
    }

    async fn unfinished_tasks(&self) -> Result<Vec<Task>, StoreError> {
        let found = self
            .connections
            .read(
                concat!(
                    "SELECT ",
                    task_columns!(),
                    " FROM tasks WHERE status IN ('PENDING', 'STARTED') ORDER BY created_at, task_id"
                ),
                &[],
            )
            .await?;
        Ok(found.iter().map(task).collect::<Result<_, _>>()?)
    }

    async fn fact(&self, tenant: &TenantId, topic: Topic, id: &str) -> Result<Option<Fact>, StoreError> {
        let found = self
            .connections
            .read(
                "SELECT value, at FROM facts WHERE tenant = $1 AND topic = $2 AND id = $3",
                &[&text(tenant.as_str()), &topic.as_str(), &text(id)],
            )
            .await?;
        let fact = |row: &Row| -> Result<Fact, Failure> {
            Ok(Fact {
                tenant: tenant.clone(),
                topic,
                id: id.to_owned(),
                value: restored(get(row, 0)?).into_owned(),
                at: timestamp(row, 1)?,
            })
        };
        Ok(found.first().map(fact).transpose()?)
    }

    async fn unread(&self, tenant: &TenantId, user: &UserId) -> Result<u64, StoreError> {
        let found = self
            .connections
            .read(
                "SELECT count(*) FROM letters WHERE tenant = $1 AND recipient = $2 AND NOT is_read",
                &[&text(tenant.as_str()), &text(user.as_str())],
            )
            .await?;
        let count = found.first().map(|row| get::<i64>(row, 0)).transpose()?;
        Ok(unsigned(count.unwrap_or(0)))
    }
}

fn case(row: &Row) -> Result<TriageCase, Failure> {
    Ok(TriageCase {
        triage_id: parsed(row, 0)?,
        patient_id: optional(row, 1)?,
        hospital_id: optional(row, 2)?,
        status: TriageStatus::read(row, 3)?,
        extra: free_form(row, 4)?,
        created_at: timestamp(row, 5)?,
        updated_at: timestamp(row, 6)?,
    })
}

fn member(row: &Row) -> Result<StaffMember, Failure> {
    Ok(StaffMember {
        hospital_id: parsed(row, 0)?,
        staff_id: parsed(row, 1)?,
        staff_type: StaffType::read(row, 2)?,
        available: get(row, 3)?,
        updated_at: timestamp(row, 4)?,
    })
}

fn bed(row: &Row) -> Result<Bed, Failure> {
    Ok(Bed {
        bed_id: parsed(row, 0)?,
        hospital_id: parsed(row, 1)?,
        status: BedStatus::read(row, 2)?,
        patient_id: optional(row, 3)?,
        ward: optional(row, 4)?,
        floor: get::<Option<&str>>(row, 5)?
            .map(|floor| serde_json::from_str(&restored(floor)))
            .transpose()
            .map_err(Failure::unreadable)?,
        extra: free_form(row, 6)?,
        updated_at: timestamp(row, 7)?,
    })
}

fn board(found: &[Row]) -> Result<BedBoard, Failure> {
    let Some(first) = found.first() else {
        return Ok(BedBoard::default());
    };
    let raised: Vec<Option<String>> = serde_json::from_str(&restored(get(first, 1)?)).map_err(Failure::unreadable)?;
    let scope = |ward: Option<String>| match ward {
        None => Ok(CapacityScope::Hospital),
        Some(ward) => WardName::try_from(ward)
            .map(CapacityScope::Ward)
            .map_err(Failure::unreadable),
    };
    let mut counts = Vec::with_capacity(found.len());
    for row in found {
        if get::<Option<i64>>(row, 4)?.is_some() {
            let beds = u32::try_from(get::<i64>(row, 4)?).unwrap_or(u32::MAX);
            counts.push(BedCount {
                ward: optional(row, 2)?,
                status: BedStatus::read(row, 3)?,
                beds,
            });
        }
    }
    Ok(BedBoard {
        revision: unsigned(get(first, 0)?),
        counts,
        raised: raised.into_iter().map(scope).collect::<Result<_, _>>()?,
    })
}

fn task(row: &Row) -> Result<Task, Failure> {
    let free_text = |column| -> Result<Option<String>, Failure> {
        Ok(get::<Option<&str>>(row, column)?.map(|text| restored(text).into_owned()))
    };
    Ok(Task {
        id: TaskId::from(get::<uuid::Uuid>(row, 0)?),
        status: TaskStatus::read(row, 1)?,
        request: restored(get(row, 2)?).into_owned(),
        requested_by: parsed::<UserId>(row, 3)?,
        hospital_id: optional(row, 4)?,
        result: free_text(5)?,
        error: free_text(6)?,
        created_at: timestamp(row, 7)?,
        updated_at: timestamp(row, 8)?,
    })
}
