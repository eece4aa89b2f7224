// Asks for an id, and goes to the view that shows it.

import type { SubmitEvent } from "react";

import { Button, TextField } from "./parts";
import { hashOf, type View } from "./route";
import { ID_PATTERN } from "./views/LiveView";
import { useWords } from "./words";

/** The form. */
export function AskFor({ view, label, submit, value, placeholder }: { readonly view: View; readonly label: string; readonly submit: string; readonly value: string | undefined; readonly placeholder: string }) {
  const { words } = useWords();
  const go = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const id = new FormData(event.currentTarget).get("id");
    if (typeof id === "string") window.location.hash = hashOf(view, id.trim());
  };
  return (
    <form key={value} onSubmit={go} className="flex items-end gap-2">
      <TextField label={label} name="id" required pattern={ID_PATTERN} title={words.rooms.badId} defaultValue={value} placeholder={placeholder} className="w-full max-w-xs" />
      <Button type="submit">{submit}</Button>
    </form>
  );
}
