// A hospital's beds and who is on duty, read once and kept live.

import { BedDouble, BedSingle, Brush, CircleUser, Lock, Wrench } from "lucide-react";
import { useCallback } from "react";

import { absoluteTime, hospitalRoom, instantOf, MESSAGES, type Payload, textOf, useLiveness, useNow } from "../../wardbell";
import { readList, useReading, useRoom, useServerEvent } from "../api";
import { AskFor } from "../AskFor";
import type { ViewProps } from "../Console";
import { Card, Empty, Loading, Problem } from "../parts";
import { hashOf } from "../route";
import { fill, useWords } from "../words";
import { byWard, changeBed, changeStaff, occupancyOf } from "./boards";

/** The view. */
export function BoardsView({ service, session, id }: ViewProps) {
  const { words } = useWords();
  const hospital = id ?? session.hospitalId;
  return (
    <div className="space-y-4">
      <AskFor view="boards" label={words.boards.hospital} submit={words.boards.show} value={hospital} placeholder="hosp_456" />
      {hospital === undefined ? <Empty>{words.boards.ask}</Empty> : <Boards key={hospital} service={service} session={session} id={hospital} />}
    </div>
  );
}

function Boards({ service, id = "" }: ViewProps) {
  const { words, locale } = useWords();
  const query = `?hospital_id=${encodeURIComponent(id)}`;
  const beds = useReading(
    service,
    useCallback((signal: AbortSignal) => readList(service, `/api/beds${query}`, signal), [service, query]),
  );
  const staff = useReading(
    service,
    useCallback((signal: AbortSignal) => readList(service, `/api/staff${query}`, signal), [service, query]),
  );
  useRoom(service, hospitalRoom(id));
  useServerEvent(service, "bed_status_changed", (payload) => {
    if (textOf(payload, "hospital_id") === id) beds.update((known) => changeBed(known, payload));
  });
  useServerEvent(service, "staff_availability_changed", (payload) => {
    if (textOf(payload, "hospital_id") === id) staff.update((known) => changeStaff(known, payload));
  });
  // Joining takes a moment after reading, and so does a change: what was changed in between is read here.
  useServerEvent(service, "room_joined", (payload) => {
    if (textOf(payload, "room") !== hospitalRoom(id)) return;
    beds.reload();
    staff.reload();
  });
  const liveness = useLiveness(service);

  return (
    <>
      {liveness !== "live" && beds.at !== undefined && (
        <p role="status" className="rounded-md bg-warning-ground p-3 text-warning">
          {fill(words.boards.notLive, { time: absoluteTime(beds.at, beds.at, locale) })}
        </p>
      )}
      <div className="grid items-start gap-4 lg:grid-cols-[1fr_20rem]">
        <Card title={words.boards.beds}>
          {beds.error !== undefined && <Problem error={beds.error} onRetry={beds.reload} />}
          {beds.value === undefined ? beds.error === undefined && <Loading /> : <Beds beds={beds.value} />}
        </Card>
        <Card title={words.boards.staff}>
          {staff.error !== undefined && <Problem error={staff.error} onRetry={staff.reload} />}
          {staff.value === undefined ? staff.error === undefined && <Loading /> : <Staff staff={staff.value} />}
        </Card>
      </div>
    </>
  );
}

const BED_LOOKS = {
  available: { Icon: BedSingle, look: "border-success bg-success-ground text-success" },
  occupied: { Icon: BedDouble, look: "border-info bg-info-ground text-info" },
  reserved: { Icon: Lock, look: "border-warning bg-warning-ground text-warning" },
  cleaning: { Icon: Brush, look: "border-line-strong border-dashed bg-raised text-quiet" },
  maintenance: { Icon: Wrench, look: "border-line-strong border-dashed bg-raised text-quiet" },
} as const;

function isBedStatus(status: string): status is keyof typeof BED_LOOKS {
  return Object.hasOwn(BED_LOOKS, status);
}

function Beds({ beds }: { readonly beds: readonly Payload[] }) {
  const { words } = useWords();
  if (beds.length === 0) return <Empty>{words.boards.noBeds}</Empty>;
  return (
    <div className="space-y-6">
      <Occupancy beds={beds} />
      {byWard(beds).map(([ward, own]) => (
        <section key={ward} aria-label={ward === "" ? words.boards.noWard : ward}>
          <div className="mb-2 flex flex-wrap items-baseline justify-between gap-2">
            <h3 className="font-semibold">{ward === "" ? words.boards.noWard : ward}</h3>
            <span className="text-sm tabular-nums text-quiet">{fill(words.boards.taken, occupancyOf(own))}</span>
          </div>
          <ul className="grid grid-cols-2 gap-2 sm:grid-cols-3 xl:grid-cols-5">
            {own.map((bed) => (
              <Bed key={textOf(bed, "bed_id")} bed={bed} />
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}

function Bed({ bed }: { readonly bed: Payload }) {
  const { locale } = useWords();
  const status = textOf(bed, "status") ?? "";
  const { Icon, look } = BED_LOOKS[isBedStatus(status) ? status : "maintenance"];
  const patient = textOf(bed, "patient_id");
  return (
    <li className={`min-w-0 rounded-md border-2 p-2 ${look}`} data-bed={textOf(bed, "bed_id")} data-status={status}>
      <p className="flex items-center gap-2 font-semibold">
        <Icon aria-hidden className="size-5 flex-none" />
        <span className="truncate">{textOf(bed, "bed_id")}</span>
      </p>
      <p className="text-sm">{isBedStatus(status) ? MESSAGES[locale].bedStatuses[status] : status}</p>
      {patient !== undefined && (
        <a href={hashOf("patient", patient)} className="block truncate text-sm underline">
          {patient}
        </a>
      )}
    </li>
  );
}

/** From this share on, the server tells the hospital that it is full, unless it is configured otherwise. */
const FULL = 0.9;

function Occupancy({ beds }: { readonly beds: readonly Payload[] }) {
  const { words } = useWords();
  const { taken, usable } = occupancyOf(beds);
  const isFull = taken >= usable * FULL;
  return (
    <div>
      <p className="mb-1 font-medium tabular-nums">{fill(words.boards.taken, { taken, usable })}</p>
      <div role="meter" aria-label={words.boards.beds} aria-valuemin={0} aria-valuemax={Math.max(usable, 1)} aria-valuenow={taken} className="h-4 overflow-hidden rounded-full border border-line-strong bg-raised">
        <div className={`h-full ${isFull ? "bg-warning" : "bg-info"}`} style={{ width: `${(100 * taken) / Math.max(usable, 1)}%` }} />
      </div>
    </div>
  );
}

function Staff({ staff }: { readonly staff: readonly Payload[] }) {
  const { words } = useWords();
  const groups = [
    [words.boards.doctors, staff.filter((member) => textOf(member, "staff_type") === "doctor")],
    [words.boards.nurses, staff.filter((member) => textOf(member, "staff_type") !== "doctor")],
  ] as const;
  return (
    <div className="space-y-4">
      {groups.map(([name, members]) => (
        <section key={name} aria-label={name}>
          <h3 className="mb-1 font-semibold">
            {name} <span className="font-normal tabular-nums text-quiet">{members.length}</span>
          </h3>
          {members.length === 0 ? (
            <p className="text-quiet">{words.boards.nobody}</p>
          ) : (
            <ul className="divide-y divide-line">
              {members.map((member) => (
                <Member key={textOf(member, "staff_id")} member={member} />
              ))}
            </ul>
          )}
        </section>
      ))}
    </div>
  );
}

function Member({ member }: { readonly member: Payload }) {
  const { words, locale } = useWords();
  const since = instantOf(member, "updated_at");
  const now = useNow(60_000);
  return (
    <li className="flex items-center gap-2 py-1" data-staff={textOf(member, "staff_id")}>
      <CircleUser aria-hidden className="size-5 flex-none text-success" />
      <span className="min-w-0 flex-1 truncate">{textOf(member, "staff_id")}</span>
      {since !== undefined && <span className="text-sm tabular-nums text-quiet">{fill(words.boards.since, { time: absoluteTime(since, now, locale) })}</span>}
    </li>
  );
}
