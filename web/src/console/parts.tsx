// Small parts that all views are made of.

import { type ComponentProps, type ReactNode, useId } from "react";

import { useWords } from "./words";
import { problemOf } from "./api";

/** A titled part of a view. */
export function Card({ title, extra, children, className = "" }: { readonly title: string; readonly extra?: ReactNode; readonly children: ReactNode; readonly className?: string }) {
  const id = useId();
  return (
    <section aria-labelledby={id} className={`min-w-0 rounded-lg border border-line bg-ground p-4 ${className}`}>
      <div className="mb-3 flex flex-wrap items-center justify-between gap-2">
        <h2 id={id} className="text-lg font-semibold">
          {title}
        </h2>
        {extra}
      </div>
      {children}
    </section>
  );
}

const CONTROL = "min-h-11 w-full rounded-md border border-line-strong bg-ground px-3 text-text placeholder:text-quiet";

/** A labelled text field. */
export function TextField({ label, note, className = "", ...input }: { readonly label: string; readonly note?: string } & ComponentProps<"input">) {
  const id = useId();
  return (
    <div className={className}>
      <label htmlFor={id} className="mb-1 block text-sm font-medium">
        {label} {note !== undefined && <span className="font-normal text-quiet">({note})</span>}
      </label>
      <input id={id} autoComplete="off" spellCheck={false} className={CONTROL} {...input} />
    </div>
  );
}

/** A labelled choice. */
export function Choice({ label, options, className = "", ...select }: { readonly label: string; readonly options: readonly (readonly [value: string, text: string])[] } & ComponentProps<"select">) {
  const id = useId();
  return (
    <div className={className}>
      <label htmlFor={id} className="mb-1 block text-sm font-medium">
        {label}
      </label>
      <select id={id} className={CONTROL} {...select}>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

/** A button. `plain` ones are for what matters less. */
export function Button({ isPlain = false, className = "", ...button }: { readonly isPlain?: boolean } & ComponentProps<"button">) {
  const look = isPlain ? "border-line-strong bg-ground text-text hover:bg-raised" : "border-transparent bg-accent text-on-accent hover:opacity-90";
  return <button type="button" className={`inline-flex min-h-11 cursor-pointer items-center justify-center gap-2 rounded-md border px-4 font-medium disabled:cursor-default disabled:opacity-60 ${look} ${className}`} {...button} />;
}

/** What went wrong, and a way to try again. */
export function Problem({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }) {
  const { words } = useWords();
  return (
    <div role="alert" className="flex flex-wrap items-center gap-3 rounded-md border border-critical bg-critical-ground p-3 text-critical">
      <p>{words.failed.replace("{error}", problemOf(error))}</p>
      {onRetry !== undefined && (
        <Button isPlain onClick={onRetry}>
          {words.retry}
        </Button>
      )}
    </div>
  );
}

/** There is nothing to show, and why. */
export function Empty({ children }: { readonly children: ReactNode }) {
  return <p className="py-6 text-center text-quiet">{children}</p>;
}

/** Something is on its way. */
export function Loading() {
  const { words } = useWords();
  return (
    <p role="status" className="py-6 text-center text-quiet">
      {words.loading}
    </p>
  );
}
