// The frame around the views: who is here, where to go, and the bell.

import { LogOut, SunMoon } from "lucide-react";
import { lazy, type MouseEvent, type ReactNode, Suspense, useEffect, useRef } from "react";

import { AlertProvider, ConnectionBadge, CriticalBanner, RealtimeAlertsPanel, type SocketService } from "../wardbell";
import type { LocaleChoice } from "./App";
import { LocaleSelect } from "./LocaleSelect";
import { Button, Loading } from "./parts";
import { THEMES, useTheme } from "./preferences";
import { hashOf, type Route, useRoute, VIEWS } from "./route";
import type { Session } from "./session";
import { StreamProvider } from "./StreamContext";
import { BoardsView } from "./views/BoardsView";
import { HistoryView } from "./views/HistoryView";
import { LiveView } from "./views/LiveView";
import { RaiseView } from "./views/RaiseView";
import { StatusView } from "./views/StatusView";
import { TriageView } from "./views/TriageView";
import { useWords, wordFor } from "./words";

// The charts come with it, and weigh more than everything else together.
const PatientView = lazy(() => import("./views/PatientView"));

/** Whoever opens the page sees what has been told in the last hour, and nobody has read in this tab. */
const LOOKBACK_MS = 3_600_000;

/** What every view is given. */
export interface ViewProps {
  readonly service: SocketService;
  readonly session: Session;
  /** What the address names after the view. */
  readonly id: string | undefined;
}

/** The console of somebody who is connected. */
export function Console({ session, service, locale, onLeave }: { readonly session: Session; readonly service: SocketService; readonly locale: LocaleChoice; readonly onLeave: () => void }) {
  const { words } = useWords();
  const route = useRoute();
  const content = useRef<HTMLElement>(null);
  useTitle(words.nav[route.view]);

  const skip = (event: MouseEvent) => {
    event.preventDefault(); // the hash names the view
    content.current?.focus();
  };

  // A view that is chosen by keyboard begins at its top, and is said.
  const isFirst = useRef(true);
  useEffect(() => {
    if (isFirst.current) isFirst.current = false;
    else {
      // Left to the browser, the focus scrolls the view's beginning under the header.
      content.current?.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
  }, [route.view]);

  return (
    <AlertProvider service={service} locale={locale.value} lookbackMs={LOOKBACK_MS}>
      <StreamProvider service={service}>
        <a href="#content" onClick={skip} className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-ground focus:p-3">
          {words.skip}
        </a>
        <header className="sticky top-0 z-40 border-b border-line bg-ground">
          <div className="mx-auto flex max-w-7xl flex-wrap items-center gap-x-4 gap-y-1 px-4 py-2">
            <h1 className="text-xl font-bold">wardbell</h1>
            <ConnectionBadge isShort />
            <p className="hidden text-sm text-quiet md:block">
              {session.name ?? session.userId} · {wordFor(words.signIn.roles, session.role)}
              {session.hospitalId !== undefined && ` · ${session.hospitalId}`}
            </p>
            <div className="ml-auto flex items-center gap-2">
              <span className="hidden items-center gap-2 sm:flex">
                <LocaleSelect locale={locale} />
                <ThemeSelect />
              </span>
              <Button isPlain className="px-3!" aria-label={words.signOut} title={words.signOut} onClick={onLeave}>
                <LogOut aria-hidden className="size-5" />
              </Button>
              <RealtimeAlertsPanel banner="elsewhere" />
            </div>
          </div>
          <Nav route={route} />
          <CriticalBanner place="flow" />
        </header>
        <main ref={content} id="content" tabIndex={-1} className="mx-auto max-w-7xl p-4 outline-none">
          <ViewOf route={route} service={service} session={session} />
        </main>
        <footer className="mx-auto flex max-w-7xl flex-wrap items-center justify-between gap-4 px-4 pb-8 text-sm text-quiet">
          <p>{words.disclaimer}</p>
          <span className="flex items-center gap-2 sm:hidden">
            <LocaleSelect locale={locale} />
            <ThemeSelect />
          </span>
        </footer>
      </StreamProvider>
    </AlertProvider>
  );
}

function useTitle(view: string): void {
  useEffect(() => {
    // The bell may have put its count before it.
    const count = /^\(\d\+?\) /.exec(document.title)?.[0] ?? "";
    document.title = `${count}${view} · wardbell`;
  }, [view]);
}

function Nav({ route }: { readonly route: Route }) {
  const { words } = useWords();
  return (
    <nav aria-label="wardbell" className="mx-auto max-w-7xl overflow-x-auto px-2">
      <ul className="flex">
        {VIEWS.map((view) => (
          <li key={view}>
            <a
              href={hashOf(view)}
              aria-current={view === route.view ? "page" : undefined}
              className="block whitespace-nowrap border-b-4 border-transparent px-2 py-2 font-medium text-quiet sm:px-3 hover:text-text aria-[current]:border-accent aria-[current]:text-text focus-visible:-outline-offset-4"
            >
              {words.nav[view]}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function ThemeSelect() {
  const { words } = useWords();
  const [theme, setTheme] = useTheme();
  return (
    <span className="inline-flex items-center gap-1">
      <SunMoon aria-hidden className="size-5 text-quiet" />
      <select
        aria-label={words.theme.label}
        className="min-h-11 rounded-md border border-line bg-ground px-2"
        value={theme}
        onChange={(event) => setTheme(THEMES.find((known) => known === event.target.value) ?? "system")}
      >
        {THEMES.map((known) => (
          <option key={known} value={known}>
            {words.theme[known]}
          </option>
        ))}
      </select>
    </span>
  );
}

function ViewOf({ route, ...rest }: { readonly route: Route } & Omit<ViewProps, "id">): ReactNode {
  const props: ViewProps = { ...rest, id: route.id };
  switch (route.view) {
    case "live":
      return <LiveView {...props} />;
    case "raise":
      return <RaiseView {...props} />;
    case "boards":
      return <BoardsView {...props} />;
    case "patient":
      return (
        <Suspense fallback={<Loading />}>
          <PatientView {...props} />
        </Suspense>
      );
    case "triage":
      return <TriageView {...props} />;
    case "history":
      return <HistoryView {...props} />;
    case "status":
      return <StatusView {...props} />;
  }
}
