//! The state behind the REST reads.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::SqliteStore;
use super::rows::{self, Word, unsigned};
use crate::domain::bed::{Bed, BedBoard, BedCount, BedStatus, CapacityScope};
use crate::domain::staff::{StaffMember, StaffType};
use crate::domain::task::{Task, TaskStatus};
use crate::domain::triage::{TriageCase, TriageStatus};
use crate::domain::{BedId, Fact, HospitalId, PatientId, StaffId, TaskId, TenantId, Topic, TriageId, UserId, WardName};
use crate::ports::{StateStore, StoreError, TriageFilter, TriageHospital};

const CASE_COLUMNS: &str = "triage_id, patient_id, hospital_id, status, extra, created_at, updated_at";
const STAFF_COLUMNS: &str = "hospital_id, staff_id, staff_type, available, updated_at";
const BED_COLUMNS: &str = "hospital_id, bed_id, status, patient_id, ward, floor, extra, updated_at";
const TASK_COLUMNS: &str = "task_id, status, request, requested_by, hospital_id, result, error, created_at, updated_at";

#[async_trait]
impl StateStore for SqliteStore {
    async fn hospital_of(&self, patient: &PatientId) -> Result<Option<HospitalId>, StoreError> {
        let sql = "SELECT hospital_id FROM patients WHERE patient_id = ?";
        self.one(sql, [patient.as_str()], |row| rows::text(row, 0)).await
    }

    async fn triage_case(&self, id: &TriageId) -> Result<Option<TriageCase>, StoreError> {
        self.one(
            &format!("SELECT {CASE_COLUMNS} FROM triage_cases WHERE triage_id = ?"),
            [id.as_str()],
            case,
        )
        .await
    }

    async fn triage_cases(&self, filter: &TriageFilter) -> Result<Vec<TriageCase>, StoreError> {
        let mut sql = format!("SELECT {CASE_COLUMNS} FROM triage_cases WHERE TRUE");
        let mut values = Vec::new();
        let (of_hospital, hospital) = match &filter.hospital {
            TriageHospital::Any => ("", None),
            TriageHospital::Only(id) => (" AND hospital_id = ?", Some(id.as_str())),
            TriageHospital::OrNone(id) => (" AND (hospital_id = ? OR hospital_id IS NULL)", Some(id.as_str())),
            TriageHospital::None => (" AND hospital_id IS NULL", None),
        };
        let patient = filter
            .patient_id
            .as_ref()
            .map(|id| (" AND patient_id = ?", id.as_str()));
        let status = filter.status.map(|status| (" AND status = ?", status.word()));
        sql.push_str(of_hospital);
        values.extend(hospital.map(|id| Value::Text(id.to_owned())));
        for (condition, value) in patient.into_iter().chain(status) {
            sql.push_str(condition);
            values.push(Value::Text(value.to_owned()));
        }
        sql.push_str(" ORDER BY created_at, triage_id LIMIT ?");
        values.push(Value::Integer(rows::rows(filter.limit)));
        self.read(move |connection| all(connection, &sql, values, case)).await
    }

    async fn available_staff(&self, hospital: &HospitalId) -> Result<Vec<StaffMember>, StoreError> {
        let sql = format!(
            "SELECT {STAFF_COLUMNS} FROM staff WHERE hospital_id = ? AND available ORDER BY updated_at, staff_id"
        );
        self.all(sql, [hospital.as_str()], member).await
    }

    async fn staff_member(&self, hospital: &HospitalId, id: &StaffId) -> Result<Option<StaffMember>, StoreError> {
        let sql = format!("SELECT {STAFF_COLUMNS} FROM staff WHERE hospital_id = ? AND staff_id = ?");
        self.one(&sql, [hospital.as_str(), id.as_str()], member).await
    }

    async fn beds(&self, hospital: &HospitalId) -> Result<Vec<Bed>, StoreError> {
        let sql = format!("SELECT {BED_COLUMNS} FROM beds WHERE hospital_id = ? ORDER BY ward, bed_id");
        self.all(sql, [hospital.as_str()], bed).await
    }

    async fn beds_named(&self, id: &BedId) -> Result<Vec<Bed>, StoreError> {
        let sql = format!("SELECT {BED_COLUMNS} FROM beds WHERE bed_id = ? ORDER BY hospital_id");
        self.all(sql, [id.as_str()], bed).await
    }

    async fn bed_board(&self, hospital: &HospitalId) -> Result<BedBoard, StoreError> {
        let hospital = hospital.clone();
        self.read(move |connection| board(connection, &hospital)).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE task_id = ?");
        let id = Value::Blob(id.as_uuid().as_bytes().to_vec());
        self.read(move |connection| connection.prepare_cached(&sql)?.query_row([id], task).optional())
            .await
    }

    async fn unfinished_tasks(&self) -> Result<Vec<Task>, StoreError> {
        let sql = format!(
            "SELECT {TASK_COLUMNS} FROM tasks WHERE status IN ('PENDING', 'STARTED') ORDER BY created_at, task_id"
        );
        self.all(sql, [], task).await
    }

    async fn fact(&self, tenant: &TenantId, topic: Topic, id: &str) -> Result<Option<Fact>, StoreError> {
        let fact = (tenant.clone(), topic, id.to_owned());
        self.read(move |connection| {
            let (tenant, topic, id) = fact;
            connection
                .prepare_cached("SELECT value, at FROM facts WHERE tenant = ?1 AND topic = ?2 AND id = ?3")?
                .query_row((tenant.as_str(), topic.as_str(), &id), |row| {
                    let (value, at) = (row.get(0)?, rows::timestamp(row, 1)?);
                    Ok(Fact {
                        tenant: tenant.clone(),
                        topic,
                        id: id.clone(),
                        value,
                        at,
                    })
                })
                .optional()
        })
        .await
    }

    async fn unread(&self, tenant: &TenantId, user: &UserId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM letters WHERE tenant = ? AND recipient = ? AND NOT is_read";
        let count = self
            .one(sql, [tenant.as_str(), user.as_str()], |row| row.get::<_, i64>(0))
            .await?;
        Ok(unsigned(count.unwrap_or(0)))
    }
}

impl SqliteStore {
    async fn one<T: Send + 'static, const N: usize>(
        &self,
        sql: &str,
        values: [&str; N],
        decode: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let sql = sql.to_owned();
        let values = values.map(|value| Value::Text(value.to_owned()));
        self.read(move |connection| {
            connection
                .prepare_cached(&sql)?
                .query_row(params_from_iter(values), decode)
                .optional()
        })
        .await
    }

    async fn all<T: Send + 'static, const N: usize>(
        &self,
        sql: String,
        values: [&str; N],
        decode: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let values = values.map(|value| Value::Text(value.to_owned())).into();
        self.read(move |connection| all(connection, &sql, values, decode)).await
    }
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    decode: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection
        .prepare_cached(sql)?
        .query_map(params_from_iter(values), decode)?
        .collect()
}

fn case(row: &Row<'_>) -> rusqlite::Result<TriageCase> {
    Ok(TriageCase {
        triage_id: rows::text(row, 0)?,
        patient_id: rows::optional(row, 1)?,
        hospital_id: rows::optional(row, 2)?,
        status: TriageStatus::read(row, 3)?,
        extra: rows::free_form(row, 4)?,
        created_at: rows::timestamp(row, 5)?,
        updated_at: rows::timestamp(row, 6)?,
    })
}

fn member(row: &Row<'_>) -> rusqlite::Result<StaffMember> {
    Ok(StaffMember {
        hospital_id: rows::text(row, 0)?,
        staff_id: rows::text(row, 1)?,
        staff_type: StaffType::read(row, 2)?,
        available: row.get(3)?,
        updated_at: rows::timestamp(row, 4)?,
    })
}

fn bed(row: &Row<'_>) -> rusqlite::Result<Bed> {
    Ok(Bed {
        hospital_id: rows::text(row, 0)?,
        bed_id: rows::text(row, 1)?,
        status: BedStatus::read(row, 2)?,
        patient_id: rows::optional(row, 3)?,
        ward: rows::optional(row, 4)?,
        floor: rows::floor(row, 5)?,
        extra: rows::free_form(row, 6)?,
        updated_at: rows::timestamp(row, 7)?,
    })
}

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: TaskId::from(rows::uuid(row, 0)?),
        status: TaskStatus::read(row, 1)?,
        request: row.get(2)?,
        requested_by: rows::text(row, 3)?,
        hospital_id: rows::optional(row, 4)?,
        result: row.get(5)?,
        error: row.get(6)?,
        created_at: rows::timestamp(row, 7)?,
        updated_at: rows::timestamp(row, 8)?,
    })
}

/// All of it from the same instant: a count that belongs to another revision would be decided on wrongly.
fn board(connection: &Connection, hospital: &HospitalId) -> rusqlite::Result<BedBoard> {
    let snapshot = connection.unchecked_transaction()?;
    let hospital = hospital.as_str();
    let revision = snapshot
        .prepare_cached("SELECT revision FROM bed_boards WHERE hospital_id = ?1")?
        .query_row([hospital], |row| row.get(0))
        .optional()?;
    let counts = snapshot
        .prepare_cached(
            "SELECT ward, status, count(*) FROM beds WHERE hospital_id = ?1 GROUP BY ward, status ORDER BY ward, status",
        )?
        .query_map([hospital], |row| {
            Ok(BedCount { ward: rows::optional(row, 0)?, status: BedStatus::read(row, 1)?, beds: row.get(2)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let raised = snapshot
        .prepare_cached("SELECT ward FROM capacity_raised WHERE hospital_id = ?1 ORDER BY ward")?
        .query_map([hospital], |row| {
            let is_hospital = row.get_ref(0)?.as_str()?.is_empty();
            if is_hospital {
                Ok(CapacityScope::Hospital)
            } else {
                rows::text::<WardName>(row, 0).map(CapacityScope::Ward)
            }
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(BedBoard {
        revision: unsigned(revision.unwrap_or(0)),
        counts,
        raised,
    })
}
