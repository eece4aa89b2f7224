// A page of the EHR: every hook once, mounted twice by React's strict mode.

import { StrictMode, useContext } from "react";
import { createRoot } from "react-dom/client";

import { ConnectionContext, useAppointments, useConnection, useNotifications, useOnlineUsers, usePatient, useThread } from "./hooks.js";

const asked = new URLSearchParams(location.search);
const given = (name: string) => asked.get(name) ?? "";

function Page() {
  const connection = useConnection(given("token"), given("tenant"));
  return (
    <ConnectionContext value={connection}>
      <Connected />
      <Online />
      <Thread />
      {asked.has("patient") && <Patient />}
      <Appointments />
      <Notifications />
    </ConnectionContext>
  );
}

function Connected() {
  const { isConnected, isRecovered, rejection } = useContext(ConnectionContext);
  return <p role="status">{rejection ?? (isConnected ? (isRecovered ? "recovered" : "connected") : "disconnected")}</p>;
}

function List({ name, items }: { readonly name: string; readonly items: readonly string[] }) {
  return (
    <ul aria-label={name}>
      {items.map((item, index) => (
        <li key={index}>{item}</li>
      ))}
    </ul>
  );
}

function Online() {
  return <List name="online" items={[...useOnlineUsers().values()].map(({ userName, status }) => `${userName}: ${status}`)} />;
}

function Thread() {
  const { messages, previews, typing, unread, type } = useThread(given("thread"));
  return (
    <>
      <List name="messages" items={messages.map(({ id, body }) => `${id}: ${body}`)} />
      <List name="previews" items={previews} />
      <List name="typing" items={typing} />
      <p aria-label="unread">{unread}</p>
      <input aria-label="reply" onChange={() => type(true)} onBlur={() => type(false)} />
    </>
  );
}

function Patient() {
  const { viewers, heartRate } = usePatient(given("patient"));
  return (
    <>
      <List name="viewers" items={[...viewers.values()]} />
      <p aria-label="heart rate">{heartRate}</p>
    </>
  );
}

function Appointments() {
  return <List name="appointments" items={[...useAppointments().values()].map(({ id, status, patientName }) => `${id} ${patientName ?? ""}: ${status}`)} />;
}

function Notifications() {
  return <List name="notifications" items={useNotifications().map(({ title, message, priority }) => `${priority}: ${title}: ${message}`)} />;
}

const root = document.getElementById("root");
if (root === null) throw new Error("no root");
createRoot(root).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
