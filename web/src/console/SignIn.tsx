// Who is it? A name in open mode, a token elsewhere.

import { type SubmitEvent, useState } from "react";

import { createSocketService, MESSAGES, type SocketService } from "../wardbell";
import type { LocaleChoice } from "./App";
import { LocaleSelect } from "./LocaleSelect";
import { Button, Choice, TextField } from "./parts";
import { type AuthMode, readToken, type Session } from "./session";
import { fill, useWords } from "./words";

const ROLES = ["nurse", "doctor", "staff", "admin", "patient"] as const;
const SIGN_COMMAND = "wardbell token --role doctor --hospital hosp_456";

/** The form. Whoever gets through it is connected. */
export function SignIn({
  mode,
  locale,
  reason,
  onEnter,
}: {
  readonly mode: AuthMode;
  readonly locale: LocaleChoice;
  readonly reason: string | undefined;
  readonly onEnter: (session: Session, service: SocketService) => void;
}) {
  const { words, locale: spoken } = useWords();
  const [problem, setProblem] = useState<string>();
  const [isBusy, setIsBusy] = useState(false);
  const reasons = MESSAGES[spoken].connection.reasons;
  const shown = problem ?? (reason === undefined ? undefined : (reasons[reason] ?? reason));

  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const session = read(new FormData(event.currentTarget), mode);
    if (session === undefined) {
      setProblem(words.signIn.noToken);
      return;
    }
    setIsBusy(true);
    const { userId, role, token } = session;
    const service = createSocketService(window.location.origin);
    try {
      await service.connect(userId, role, token === undefined ? {} : { token });
      onEnter(session, service);
    } catch (error) {
      const { phase, reason: said } = service.state;
      service.disconnect();
      const why = error instanceof Error ? error.message : String(error);
      setProblem(phase === "refused" ? (reasons[said ?? ""] ?? said) : fill(words.failed, { error: why }));
    }
    setIsBusy(false);
  };

  return (
    <main className="mx-auto flex min-h-dvh max-w-lg flex-col justify-center gap-4 p-4">
      <div className="flex items-center justify-between gap-4">
        <h1 className="text-2xl font-bold">wardbell</h1>
        <LocaleSelect locale={locale} />
      </div>
      <form onSubmit={(event) => void submit(event)} className="space-y-4 rounded-lg border border-line bg-ground p-6">
        <h2 className="text-xl font-semibold">{words.signIn.heading}</h2>
        <p className="text-quiet">{words.signIn[mode]}</p>
        {mode !== "open" && <pre className="overflow-x-auto rounded-md bg-raised p-3 text-sm">{SIGN_COMMAND}</pre>}
        {mode !== "token" && (
          <div className="grid grid-cols-2 gap-3">
            <TextField label={words.signIn.userId} name="user_id" defaultValue="u1" required pattern="[A-Za-z0-9_.:@\-]{1,128}" />
            <Choice label={words.signIn.role} name="role" options={ROLES.map((role) => [role, words.signIn.roles[role]])} />
          </div>
        )}
        {mode !== "open" && (
          <div>
            <TextField label={words.signIn.tokenLabel} name="token" type="password" required />
            <p className="mt-1 text-sm text-quiet">{words.signIn.kept}</p>
          </div>
        )}
        <div role="alert">{shown !== undefined && <p className="rounded-md bg-critical-ground p-3 text-critical">{shown}</p>}</div>
        <Button type="submit" disabled={isBusy} className="w-full">
          {words.signIn.submit}
        </Button>
      </form>
      <p className="text-sm text-quiet">{words.disclaimer}</p>
    </main>
  );
}

function read(form: FormData, mode: AuthMode): Session | undefined {
  const text = (name: string) => {
    const value = form.get(name);
    return typeof value === "string" ? value.trim() : "";
  };
  const who = { userId: text("user_id"), role: text("role") };
  if (mode === "open") return who;
  const session = readToken(text("token").replace(/^Bearer /, ""));
  return session === undefined || mode === "token" ? session : { ...session, ...who };
}
