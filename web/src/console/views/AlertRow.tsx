// An alert of the history: a line, and the whole payload behind it.

import { type ReactNode, useState } from "react";

import { AlertTime, asPayload, eventOfHistory, MESSAGES, type Payload, type SocketService, textOf, TYPE_ICONS, typeOf, useNow, wordsFor } from "../../wardbell";
import { useWords } from "../words";

const LOOKS = { critical: "text-critical", warning: "text-warning", info: "text-info", success: "text-success" } as const;

/** The line. `children` are shown with the payload, and made only then. `isNarrow` in a column. */
export function AlertRow({ alert, service, isNarrow = false, children }: { readonly alert: Payload; readonly service: SocketService; readonly isNarrow?: boolean; readonly children?: ReactNode }) {
  const { words, locale } = useWords();
  const [isOpen, setIsOpen] = useState(false);
  const now = useNow(10_000) + service.clockSkewMs;
  const event = eventOfHistory(alert);
  const type = typeOf(event, alert);
  const { title, message } = wordsFor(event, alert, MESSAGES[locale], locale);
  const Icon = TYPE_ICONS[type];
  const column = isNarrow ? "col-start-2" : "col-start-2 md:col-start-auto";
  return (
    <li>
      <details onToggle={(toggled) => setIsOpen(toggled.currentTarget.open)}>
        <summary className={`grid cursor-pointer grid-cols-[1.5rem_1fr] gap-x-3 py-2 ${isNarrow ? "" : "md:grid-cols-[1.5rem_13rem_12rem_1fr]"}`}>
          <Icon role="img" aria-label={MESSAGES[locale].alertTypes[type]} className={`size-6 ${LOOKS[type]}`} />
          <span className="min-w-0 break-words font-medium">
            {title}
            {alert["suppressed"] === true && <span className="ml-2 rounded-full border border-line-strong px-2 text-sm font-normal text-quiet">{words.history.suppressed}</span>}
          </span>
          <span className={column}>
            <AlertTime timestamp={textOf(alert, "timestamp") ?? ""} now={now} locale={locale} />
          </span>
          <span className={`min-w-0 break-words ${column}`}>{message}</span>
        </summary>
        {isOpen && (
          <div className="mb-3 space-y-2 rounded-md bg-raised p-3 text-sm">
            {children}
            <pre className="overflow-x-auto whitespace-pre-wrap break-words">{JSON.stringify(asPayload(alert), null, 2)}</pre>
          </div>
        )}
      </details>
    </li>
  );
}
