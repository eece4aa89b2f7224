import { act, cleanup, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { AlertProvider, type Locale, RealtimeAlertsPanel, SocketService, useAlerts, useSocketIO } from "..";
import { until, Ward } from "./server";

let ward: Ward;
let service: SocketService;

beforeEach(async () => {
  ward = await Ward.start();
  service = new SocketService(ward.url);
  document.title = "Ward 7";
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null); // jsdom draws nothing
});

afterEach(async () => {
  cleanup();
  service.disconnect();
  await ward.stop();
});

async function ring(locale: Locale = "en") {
  render(
    <AlertProvider service={service} locale={locale}>
      <RealtimeAlertsPanel />
    </AlertProvider>,
  );
  service.joinPatientRoom("P1");
  await act(async () => {
    await service.connect("u1", "nurse");
    await until(service, () => service.rooms.get("patient_P1") === "joined");
  });
}

const tell = (payload: object) => ward.tell("patient_P1", "patient_alert", { patient_id: "P1", ...payload });
const bell = () => screen.getByRole("button", { name: /^Alerts/ });

describe("the bell", () => {
  it("counts, says a critical alert aloud, and is in the tab's title", async () => {
    await ring();
    expect(bell()).toHaveProperty("textContent", "");

    tell({ alert_id: "A1", alert_type: "critical", message: "SpO2 84 %" });

    await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("SpO2 84 %"));
    expect(bell().getAttribute("aria-label")).toBe("Alerts, 1 unread. Live");
    expect(document.title).toBe("(1) Ward 7");
  });

  it("says other alerts, too, without interrupting", async () => {
    await ring();

    tell({ alert_id: "A1", alert_type: "warning", message: "pulse 118" });

    await waitFor(() => expect(screen.getAllByRole("status").map(({ textContent }) => textContent)).toContain("Warning: Patient P1. pulse 118"));
    expect(screen.getByRole("alert").textContent).toBe("");
  });

  it("counts to nine, then says 9+", async () => {
    await ring();

    for (let n = 1; n <= 12; n += 1) tell({ alert_id: `A${n}`, alert_type: "warning" });

    await waitFor(() => expect(bell().textContent).toBe("9+"));
    expect(bell().getAttribute("aria-label")).toContain("12 unread");
  });

  it("does not say live when it is not", async () => {
    await ring();
    expect(bell().dataset["state"]).toBe("live");

    await act(() => ward.stop());

    await waitFor(() => expect(bell().dataset["state"]).toBe("reconnecting"));
    await userEvent.click(bell());
    expect(screen.getByText(/Reconnecting for/)).toBeTruthy();
    expect(screen.getByText(/Server last heard/)).toBeTruthy();
  });

  it("shows what was missed, from the history, once", async () => {
    await ring();
    tell({ alert_id: "A1", alert_type: "critical", message: "before" });
    await screen.findAllByText("before");
    const happened = Date.now() + 1_000;
    const payload = (id: string, message: string, after = 0) => ({ alert_id: id, patient_id: "P1", alert_type: "critical", message, timestamp: new Date(happened + after).toISOString() });
    ward.history = (path) =>
      path.includes("cursor")
        ? { body: [payload("A2", "missed too"), payload("A1", "before")] }
        : { body: [payload("A3", "missed", 1), { ...payload("A4", "suppressed"), suppressed: true }], link: '</api/alerts/history?cursor=1>; rel="next"' };

    await act(() => ward.stop());
    await act(() => ward.restart());

    await waitFor(() => expect(bell().getAttribute("aria-label")).toBe("Alerts, 3 unread. Live"), { timeout: 10_000 });
    await userEvent.click(bell());
    expect(screen.getAllByRole("listitem").map((item) => within(item).getByText(/before|missed/).textContent)).toEqual(["missed", "missed too", "before"]);
  }, 15_000);

  it("says that what was missed could not be fetched, and goes on trying", async () => {
    await ring();
    let asked = 0;
    ward.history = () => {
      asked += 1;
      return asked === 1 ? { status: 503 } : { body: [{ alert_id: "A1", patient_id: "P1", alert_type: "critical", message: "missed" }] };
    };
    await userEvent.click(bell());

    await act(() => ward.stop());
    await act(() => ward.restart());
    await userEvent.click(await screen.findByRole("button", { name: "Try now" }, { timeout: 10_000 }));

    expect((await screen.findAllByText("missed")).length).toBeGreaterThan(0);
    expect(screen.queryByText(/could not be fetched/)).toBeNull();
  }, 15_000);
});

describe("the panel", () => {
  it("reads, removes and clears by keyboard alone, and keeps the focus inside", async () => {
    await ring();
    for (const n of [1, 2, 3]) tell({ alert_id: `A${n}`, alert_type: "warning", message: `message ${n}`, patient_id: `P${n}` });
    await waitFor(() => expect(bell().textContent).toBe("3"));
    const user = userEvent.setup();

    await user.tab();
    await user.keyboard("{Enter}");
    screen.getByRole("button", { name: "Mark as read: Patient P2" }).focus();
    await user.keyboard("{Enter}");
    expect(screen.getByText("2 unread")).toBeTruthy();
    screen.getByRole("button", { name: "Remove: Patient P1" }).focus();
    await user.keyboard("{Enter}");
    expect(screen.getAllByRole("listitem")).toHaveLength(2);
    await waitFor(() => expect(screen.getByRole("dialog").contains(document.activeElement)).toBe(true));
    screen.getByRole("button", { name: "Clear all" }).focus();
    await user.keyboard("{Enter}");
    expect(screen.getByText(/^No alerts/)).toBeTruthy();
    await user.keyboard("{Escape}");

    expect(screen.queryByRole("dialog")).toBeNull();
    expect(document.activeElement).toBe(bell());
  });

  it("shows markup as the text that it is", async () => {
    await ring();

    tell({ alert_id: "A1", alert_type: "critical", message: "<img src=x onerror=alert(1)>" });
    await userEvent.click(bell());

    expect((await screen.findAllByText("<img src=x onerror=alert(1)>")).length).toBeGreaterThan(0);
    expect(document.querySelector("img")).toBeNull();
  });

  it("speaks German", async () => {
    render(
      <AlertProvider service={service} locale="de">
        <RealtimeAlertsPanel />
      </AlertProvider>,
    );

    await userEvent.click(screen.getByRole("button", { name: /^Alarme/ }));

    expect(screen.getByText(/^Hier sind keine Alarme/)).toBeTruthy();
    expect(screen.getByText("Nicht verbunden")).toBeTruthy();
  });
});

describe("the hooks", () => {
  function Page({ user }: { readonly user: { id: string; role: string } | null }) {
    const { joinPatientMonitoring } = useSocketIO(user, service);
    const { alerts, unreadCount, addAlert, clearAll } = useAlerts();
    return (
      <>
        <p>{`${alerts.map(({ title }) => title).join()} ${unreadCount}`}</p>
        <button onClick={() => joinPatientMonitoring("P9")}>join</button>
        <button onClick={() => addAlert({ type: "warning", title: "own", message: "of the page" })}>add</button>
        <button onClick={clearAll}>clear</button>
      </>
    );
  }

  it("connect with the user, join, add, clear, and disconnect without the user", async () => {
    const page = (user: { id: string; role: string } | null) => (
      <AlertProvider service={service} locale="en">
        <Page user={user} />
      </AlertProvider>
    );
    const { rerender } = render(page({ id: "u1", role: "nurse" }));
    await userEvent.click(screen.getByText("join"));
    await act(() => until(service, () => service.rooms.get("patient_P9") === "joined"));

    ward.tell("patient_P9", "patient_alert", { alert_id: "A1", patient_id: "P9", alert_type: "critical" });
    expect(await screen.findByText("Patient P9 1")).toBeTruthy();
    await userEvent.click(screen.getByText("add"));
    expect(screen.getByText("own,Patient P9 2")).toBeTruthy();
    await userEvent.click(screen.getByText("clear"));
    expect(screen.getByText("0")).toBeTruthy();

    rerender(page(null));
    expect(service.isConnected()).toBe(false);
  });

  it("say what is missing where there is no provider", () => {
    expect(() => render(<Page user={null} />)).toThrow("there is no AlertProvider above this");
  });
});
