import { expect, test } from "bun:test";
import { socketAddress } from "../../src/daemon/notify.ts";

test("the address is struct sockaddr_un: a path with its NUL, or an abstract name with its length", () => {
  expect(socketAddress("/r/n")).toEqual(new Uint8Array([1, 0, 47, 114, 47, 110, 0]));
  expect(socketAddress("@n")).toEqual(new Uint8Array([1, 0, 0, 110]));
});

test("an address of another kind, or one too long, is none", () => {
  for (const path of ["", "relative", "vsock:2:1", `/${"x".repeat(107)}`]) expect(socketAddress(path)).toBeUndefined();
  expect(socketAddress(`/${"x".repeat(106)}`)).toHaveLength(110);
});
