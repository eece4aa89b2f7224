// Which rooms this tab is in, and everything that is told to them.

import { CircleAlert, CircleCheck, CircleDashed, Pause, Play, Trash2, X } from "lucide-react";
import { type SubmitEvent, useState } from "react";

import { absoluteTime, hospitalRoom, patientRoom, type RoomStanding, SERVER_EVENTS, textOf, triageRoom, TRIAGE_QUEUE, useNow, useRooms } from "../../wardbell";
import type { ViewProps } from "../Console";
import { Button, Card, Choice, Empty, TextField } from "../parts";
import { type Told, useStream } from "../StreamContext";
import { fill, useWords } from "../words";

/** What an id may look like, everywhere. */
export const ID_PATTERN = "[A-Za-z0-9_.:\\-]{1,128}";

const NAMED_ROOMS = { patient: patientRoom, hospital: hospitalRoom, triage: triageRoom } as const;

/** The view. */
export function LiveView({ service, session }: ViewProps) {
  return (
    <div className="grid items-start gap-4 lg:grid-cols-[20rem_1fr]">
      <RoomsCard service={service} session={session} id={undefined} />
      <StreamCard />
    </div>
  );
}

function RoomsCard({ service, session }: ViewProps) {
  const { words } = useWords();
  const rooms = useRooms(service);
  const [kind, setKind] = useState<string>("patient");
  const isQueue = kind === "queue";

  const join = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const id = new FormData(event.currentTarget).get("id");
    const name = kind === "patient" || kind === "hospital" || kind === "triage" ? NAMED_ROOMS[kind] : undefined;
    if (name === undefined) service.joinRoom(TRIAGE_QUEUE);
    else if (typeof id === "string" && id !== "") service.joinRoom(name(id));
  };

  return (
    <Card title={words.rooms.heading}>
      <form onSubmit={join} className="mb-4 space-y-3">
        <Choice
          label={words.rooms.kind}
          value={kind}
          onChange={(event) => setKind(event.target.value)}
          options={[
            ["patient", words.rooms.patient],
            ["hospital", words.rooms.hospital],
            ["triage", words.rooms.triage],
            ["queue", words.rooms.queue],
          ]}
        />
        {!isQueue && (
          <TextField key={kind} label={words.rooms.id} name="id" required pattern={ID_PATTERN} title={words.rooms.badId} defaultValue={kind === "hospital" ? session.hospitalId : ""} placeholder={kind === "patient" ? "PAT-1A2B3C4D" : kind === "hospital" ? "hosp_456" : "T-1"} />
        )}
        <Button type="submit" className="w-full">
          {words.rooms.join}
        </Button>
      </form>
      {rooms.size === 0 ? (
        <Empty>{words.rooms.none}</Empty>
      ) : (
        <ul className="divide-y divide-line">
          {[...rooms].map(([room, standing]) => (
            <li key={room} className="flex items-center gap-2 py-1">
              <Standing standing={standing} />
              <span className="min-w-0 flex-1 break-words font-mono text-sm">{room}</span>
              <Button isPlain className="px-3!" aria-label={fill(words.rooms.leave, { room })} title={fill(words.rooms.leave, { room })} onClick={() => service.leaveRoom(room)}>
                <X aria-hidden className="size-5" />
              </Button>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Standing({ standing }: { readonly standing: RoomStanding }) {
  const { words } = useWords();
  if (standing === "joined") return <CircleCheck role="img" aria-label={words.rooms.joined} className="size-5 flex-none text-success" />;
  if (standing === "asked") return <CircleDashed role="img" aria-label={words.rooms.asked} className="size-5 flex-none text-warning" />;
  const why = fill(words.rooms.refused, { code: standing.refused });
  return (
    <span className="flex flex-none items-center gap-1 text-sm text-critical">
      <CircleAlert aria-hidden className="size-5" />
      {why}
    </span>
  );
}

function StreamCard() {
  const { words } = useWords();
  const { entries, count, clear } = useStream();
  const [filter, setFilter] = useState("");
  const [held, setHeld] = useState<{ readonly entries: readonly Told[]; readonly count: number }>();
  const shown = (held?.entries ?? entries).filter(({ event }) => filter === "" || event === filter);
  const now = useNow(10_000);
  const empty = () => {
    clear();
    setHeld(undefined);
  };

  return (
    <Card
      title={words.stream.heading}
      extra={
        <div className="flex flex-wrap items-end gap-2">
          <select aria-label={words.stream.filter} className="min-h-11 rounded-md border border-line-strong bg-ground px-2" value={filter} onChange={(event) => setFilter(event.target.value)}>
            <option value="">{words.stream.all}</option>
            {SERVER_EVENTS.map((event) => (
              <option key={event}>{event}</option>
            ))}
          </select>
          <Button isPlain aria-pressed={held !== undefined} onClick={() => setHeld(held === undefined ? { entries, count } : undefined)}>
            {held === undefined ? <Pause aria-hidden className="size-5" /> : <Play aria-hidden className="size-5" />}
            {held === undefined ? words.stream.pause : words.stream.go}
          </Button>
          <Button isPlain onClick={empty}>
            <Trash2 aria-hidden className="size-5" />
            {words.stream.clear}
          </Button>
        </div>
      }
    >
      <p role="status" className="text-warning">
        {held !== undefined && fill(words.stream.paused, { count: count - held.count })}
      </p>
      {shown.length === 0 ? (
        <Empty>{words.stream.none}</Empty>
      ) : (
        <ol className="divide-y divide-line">
          {shown.map((told) => (
            <StreamEntry key={told.n} told={told} now={now} />
          ))}
        </ol>
      )}
    </Card>
  );
}

function StreamEntry({ told, now }: { readonly told: Told; readonly now: number }) {
  const { locale } = useWords();
  const { event, payload, at } = told;
  const about = ["patient_id", "hospital_id", "triage_id", "room", "alert_type", "risk_level", "status", "message"].flatMap((field) => textOf(payload, field) ?? []);
  return (
    <li>
      <details>
        <summary className="grid cursor-pointer gap-x-3 py-2 sm:grid-cols-[7rem_13rem_1fr]">
          <time dateTime={new Date(at).toISOString()} className="text-sm tabular-nums text-quiet">
            {absoluteTime(at, now, locale)}
          </time>
          <span className="font-mono text-sm font-medium">{event}</span>
          <span className="truncate text-sm text-quiet">{about.join(" · ")}</span>
        </summary>
        <pre className="mb-2 overflow-x-auto whitespace-pre-wrap break-words rounded-md bg-raised p-3 text-sm">{JSON.stringify(payload, null, 2)}</pre>
      </details>
    </li>
  );
}
