// Everything that the server tells this socket, kept for a while whichever view is open.

import { createContext, type ReactNode, use, useEffect, useMemo, useState } from "react";

import { asPayload, type Payload, type SocketService } from "../wardbell";

/** What is kept; older entries go. */
const MAX_ENTRIES = 300;

/** Something that was told. */
export interface Told {
  readonly n: number;
  readonly event: string;
  readonly payload: Payload;
  /** When it came, milliseconds since 1970. */
  readonly at: number;
}

/** The stream, newest first. */
export interface Stream {
  readonly entries: readonly Told[];
  /** How many came in all. */
  readonly count: number;
  readonly clear: () => void;
}

const StreamContext = createContext<Stream>({ entries: [], count: 0, clear: () => undefined });

/** Listens to everything. */
export function StreamProvider({ service, children }: { readonly service: SocketService; readonly children: ReactNode }) {
  const [state, setState] = useState<{ entries: readonly Told[]; count: number }>({ entries: [], count: 0 });
  useEffect(() => {
    const hear = (event: string, data: unknown) =>
      setState(({ entries, count }) => ({
        entries: [{ n: count + 1, event, payload: asPayload(data), at: Date.now() }, ...entries.slice(0, MAX_ENTRIES - 1)],
        count: count + 1,
      }));
    // The socket is another one after each `connect`; what it is now is heard.
    const listen = () => service.getSocket()?.offAny(hear).onAny(hear);
    listen();
    service.on("socket_connected", listen);
    return () => {
      service.off("socket_connected", listen);
      service.getSocket()?.offAny(hear);
    };
  }, [service]);

  const stream = useMemo<Stream>(() => ({ ...state, clear: () => setState(({ count }) => ({ entries: [], count })) }), [state]);
  return <StreamContext value={stream}>{children}</StreamContext>;
}

/** The stream. */
export function useStream(): Stream {
  return use(StreamContext);
}
