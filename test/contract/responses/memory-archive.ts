import type { ResponseArchive } from "../../../src/api/responses/archive.ts";

/** An archive that ends with the test. */
export function createMemoryArchive(): ResponseArchive {
  const kept = new Map<string, string>();
  return {
    put: ({ id, json }) => void kept.set(id, json),
    get: async (id) => {
      const json = kept.get(id);
      return json === undefined ? undefined : { id, json };
    },
    delete: (id) => void kept.delete(id),
  };
}
