/** Forgetting: private objects that no index names, and private directories of workspaces nobody works in any more. */
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { MAX_KEPT_AGE_MS } from "./contents.ts";
import { readIndex } from "./index-file.ts";

/** Younger objects may belong to a snapshot that is just being taken. */
const MIN_OBJECT_AGE_MS = 60 * 60 * 1000;

/** Removes objects that the base index of a scope's private directory does not name. */
export async function sweepObjects(home: string, now: number): Promise<void> {
  const objects = join(home, "git", "objects");
  const directories = (await readdir(objects).catch(() => [])).filter((name) => /^[0-9a-f]{2}$/.test(name));
  if (directories.length === 0) return;
  const named = new Set<string>();
  const index = await readFile(join(home, "index")).catch(() => undefined);
  if (index !== undefined && !readIndex(index, (entry) => named.add(entry.blob))) return;
  for (const directory of directories) {
    for (const name of await readdir(join(objects, directory)).catch(() => [])) {
      const path = join(objects, directory, name);
      if (named.has(directory + name)) continue;
      const found = await stat(path).catch(() => undefined);
      if (found !== undefined && now - found.mtimeMs > MIN_OBJECT_AGE_MS) await rm(path, { force: true });
    }
  }
}

/** Removes the private directories of scopes that no turn has looked at for as long as undo is kept. */
export async function sweepScopes(directory: string, now: number): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const home = join(directory, name);
    const times = await Promise.all(
      ["", "index"].map((part) =>
        stat(join(home, part))
          .then((found) => found.mtimeMs)
          .catch(() => 0),
      ),
    );
    if (now - Math.max(...times) > MAX_KEPT_AGE_MS) await rm(home, { recursive: true, force: true });
  }
}
