// From a visitor to somebody with a connection: language, sign-in, and then the console.

import { useCallback, useEffect, useState } from "react";

import { createSocketService, type SocketService, useConnection } from "../wardbell";
import { Console } from "./Console";
import { en } from "./messages/en";
import { useLocale } from "./preferences";
import { type AuthMode, askMode, forgetSession, rememberedRooms, rememberedSession, rememberRooms, rememberSession, type Session } from "./session";
import { SignIn } from "./SignIn";
import { loadWords, type Spoken, SpokenContext, useWords } from "./words";

/** When a server that does not answer is asked again. */
const RETRY_MS = 2_000;

/** Somebody, and their connection. */
interface Visit {
  readonly session: Session;
  readonly service: SocketService;
}

/** The whole page. */
export function App() {
  const [locale, setLocale] = useLocale();
  const [spoken, setSpoken] = useState<Spoken>({ words: en, locale: "en" });
  useEffect(() => {
    let isWanted = true;
    // A language that cannot be loaded now leaves the one before.
    loadWords(locale).then(
      (words) => isWanted && setSpoken({ words, locale }),
      () => undefined,
    );
    return () => {
      isWanted = false;
    };
  }, [locale]);

  return (
    <SpokenContext value={spoken}>
      <Door locale={{ value: locale, choose: setLocale }} />
    </SpokenContext>
  );
}

/** A language and how to choose another. */
export interface LocaleChoice {
  readonly value: Spoken["locale"];
  readonly choose: (locale: Spoken["locale"]) => void;
}

function Door({ locale }: { readonly locale: LocaleChoice }) {
  const { words } = useWords();
  const [mode, setMode] = useState<AuthMode | "unreachable">();
  const [visit, setVisit] = useState<Visit>();
  const [reason, setReason] = useState<string>();
  const isKnown = mode !== undefined && mode !== "unreachable";

  // Asked again until the server answers.
  useEffect(() => {
    if (isKnown) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isWanted = true;
    const attempt = () => {
      askMode().then(
        (asked) => {
          if (!isWanted) return;
          // Whoever was here before goes on, in the rooms that this tab was in.
          const remembered = rememberedSession(asked);
          if (remembered !== undefined) setVisit({ session: remembered, service: resume(remembered) });
          setMode(asked);
        },
        () => {
          if (!isWanted) return;
          setMode("unreachable");
          timer = setTimeout(attempt, RETRY_MS);
        },
      );
    };
    attempt();
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [isKnown]);

  const leave = useCallback(
    (why?: string) => {
      visit?.service.disconnect();
      forgetSession();
      setReason(why);
      setVisit(undefined);
    },
    [visit],
  );

  if (mode === undefined) {
    return (
      <p role="status" className="p-8 text-center">
        {words.loading}
      </p>
    );
  }
  if (mode === "unreachable") {
    return (
      <p role="alert" className="p-8 text-center text-lg">
        {words.unreachable}
      </p>
    );
  }
  if (visit === undefined) {
    const enter = (session: Session, connected: SocketService) => {
      rememberSession(session);
      setReason(undefined);
      setVisit({ session, service: connected });
    };
    return <SignIn mode={mode} locale={locale} reason={reason} onEnter={enter} />;
  }
  return <Inside session={visit.session} service={visit.service} locale={locale} onLeave={leave} />;
}

function Inside({ session, service, locale, onLeave }: { readonly session: Session; readonly service: SocketService; readonly locale: LocaleChoice; readonly onLeave: (why?: string) => void }) {
  const { phase, reason } = useConnection(service);
  useEffect(() => {
    if (phase === "refused") onLeave(reason);
  }, [phase, reason, onLeave]);
  useEffect(() => service.subscribe(() => rememberRooms(service.rooms.keys())), [service]);
  // Nothing is shown to somebody whom the server does not let in.
  return phase === "refused" ? null : <Console session={session} service={service} locale={locale} onLeave={() => onLeave()} />;
}

/** Takes up a session that this browser remembers. */
function resume({ userId, role, token }: Session): SocketService {
  const service = createSocketService(window.location.origin);
  for (const room of rememberedRooms()) service.joinRoom(room);
  service.connect(userId, role, token === undefined ? {} : { token }).catch(() => undefined); // it goes on trying, and says so
  return service;
}
