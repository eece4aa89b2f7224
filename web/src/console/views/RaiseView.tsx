// Forms that send what a backend would send.

import { Tabs } from "radix-ui";
import { type SubmitEvent, useState } from "react";

import { MESSAGES, type Payload, textOf } from "../../wardbell";
import { send } from "../api";
import type { ViewProps } from "../Console";
import { Button, Card, Choice, Problem, TextField } from "../parts";
import { useWords } from "../words";
import { type Field, type Kind, KINDS, type KindName, requestOf } from "./raise";

/** The view. */
export function RaiseView({ service, session }: ViewProps) {
  const { words } = useWords();
  return (
    <Card title={words.raise.heading}>
      <p className="mb-4 text-quiet">{words.raise.intro}</p>
      <Tabs.Root defaultValue="patient">
        <Tabs.List aria-label={words.raise.heading} className="mb-4 flex flex-wrap gap-1 border-b border-line">
          {(Object.keys(KINDS) as KindName[]).map((kind) => (
            <Tabs.Trigger
              key={kind}
              value={kind}
              className="min-h-11 cursor-pointer rounded-t-md border-b-4 border-transparent px-3 font-medium text-quiet hover:bg-raised data-[state=active]:border-accent data-[state=active]:text-text"
            >
              {words.raise.kinds[kind]}
            </Tabs.Trigger>
          ))}
        </Tabs.List>
        {(Object.keys(KINDS) as KindName[]).map((kind) => (
          <Tabs.Content key={kind} value={kind} tabIndex={-1}>
            <RaiseForm kind={KINDS[kind]} service={service} session={session} id={undefined} />
          </Tabs.Content>
        ))}
      </Tabs.Root>
    </Card>
  );
}

function RaiseForm({ kind, service, session }: ViewProps & { readonly kind: Kind }) {
  const { words } = useWords();
  const [answer, setAnswer] = useState<Payload>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setIsBusy] = useState(false);

  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const { method, path, body } = requestOf(kind, new FormData(event.currentTarget));
    setIsBusy(true);
    setError(undefined);
    setAnswer(undefined);
    try {
      setAnswer(await send(service, method, path, body));
    } catch (problem) {
      setError(problem);
    }
    setIsBusy(false);
  };

  return (
    <form onSubmit={(event) => void submit(event)} className="space-y-4">
      <div className="grid gap-3 sm:grid-cols-2 lg:grid-cols-3">
        {kind.fields.map((field) => (
          <FieldOf key={field.name} field={field} hospitalId={session.hospitalId} />
        ))}
      </div>
      <Button type="submit" disabled={isBusy}>
        {words.raise.send}
      </Button>
      {error !== undefined && <Problem error={error} />}
      <div role="status">
        {answer !== undefined && (
          <div className="rounded-md bg-success-ground p-3">
            <p className="font-medium text-success">{answer["suppressed"] === true ? words.raise.suppressed : textOf(answer, "durable") === "spooled" ? words.raise.spooled : words.raise.sent}</p>
            <details>
              <summary className="cursor-pointer py-2">{words.raise.answer}</summary>
              <pre className="whitespace-pre-wrap break-words text-sm">{JSON.stringify(answer, null, 2)}</pre>
            </details>
          </div>
        )}
      </div>
    </form>
  );
}

function FieldOf({ field, hospitalId }: { readonly field: Field; readonly hospitalId: string | undefined }) {
  const { words, locale } = useWords();
  const label = words.raise.fields[field.name];
  if (field.options !== undefined) {
    const texts = optionTexts(field, MESSAGES[locale], words.raise);
    return <Choice label={label} name={field.name} options={field.options.map((value) => [value, texts[value] ?? value])} />;
  }
  const preset = field.name === "hospital_id" ? (hospitalId ?? field.preset) : field.preset;
  const note = field.isOptional === true ? { note: words.ifAny } : {};
  return <TextField label={label} name={field.name} required={field.isOptional !== true} defaultValue={preset} inputMode={field.isNumber === true ? "decimal" : "text"} {...note} />;
}

function optionTexts(field: Field, messages: (typeof MESSAGES)["en"], raise: { readonly yes: string; readonly no: string }): Readonly<Record<string, string>> {
  switch (field.name) {
    case "alert_type":
      return { ...messages.alertTypes, ...messages.hospitalAlertTypes, info: messages.alertTypes.info };
    case "status":
      return { ...messages.bedStatuses, ...messages.triageStatuses };
    case "staff_type":
      return messages.staffTypes;
    default:
      return { true: raise.yes, false: raise.no };
  }
}
