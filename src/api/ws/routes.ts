/** Documents the WebSocket under /docs, and tells whoever asks without a handshake. The sockets are `server.ts`. */
import { Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import { DaemonError } from "../../errors.ts";
import { renderError } from "../shared/errors.ts";
import { documented } from "../shared/openapi.ts";
import { CLIENT_FRAMES, SERVER_FRAMES } from "./schema.ts";

const message = "This address speaks WebSocket: connect with ws://. What is sent and received is under /docs.";

export function createSocketRoutes() {
  return new Elysia({ name: "ws" }).get(
    "/v1/code/ws",
    () =>
      Response.json(renderError(new DaemonError("invalid_request", message)).body, {
        status: 426,
        headers: { upgrade: "websocket", "sec-websocket-version": "13" },
      }),
    {
      detail: {
        tags: ["WebSocket"],
        summary:
          "A WebSocket (also at `/`): one JSON object per text frame. The request body below is what a client sends, the response what it gets.",
        requestBody: {
          content: { "application/json": { schema: documented(Type.Union(Object.values(CLIENT_FRAMES))) } },
        },
        responses: {
          101: {
            description: "Frames of the server.",
            content: { "application/json": { schema: documented(Type.Union(SERVER_FRAMES)) } },
          },
        },
      },
    },
  );
}
