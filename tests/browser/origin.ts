// An origin that is not the server's: what other frontends are served from.

import type { Server } from "node:http";

/** Lets it listen on a free port, and says where that is. */
export async function originOf(http: Server): Promise<string> {
  await new Promise<void>((listening) => http.listen(0, "127.0.0.1", listening));
  const address = http.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}
