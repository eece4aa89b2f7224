import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// What `npm run dev` passes on: the page is at 5173, the server where it always is.
const server = process.env["WARDBELL_URL"] ?? "http://127.0.0.1:5000";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: {
    // Nothing may become a data: URL; the content security policy knows files alone.
    assetsInlineLimit: 0,
    target: "es2022",
    // Vite's own helper would be an inline script.
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "/socket.io": { target: server, ws: true },
      "/api": server,
      "/health": server,
      "/ready": server,
      "/metrics": server,
    },
  },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
  },
});
