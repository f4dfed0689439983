/**
 * Files of which git stores other bytes than those on disk: line ends, LFS and other filters, `ident`, encodings. The
 * user's index calls them clean, but its blob is not what undo must restore, so they are read raw instead.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Git } from "./git.ts";
import type { IndexEntry } from "./index-file.ts";
import { joinNul, onDisk } from "./paths.ts";
import type { UserRepository, UserSettings } from "./repository.ts";

const MAX_ATTRIBUTE_FILES = 1000;
const MAX_ATTRIBUTE_BYTES = 1024 * 1024;

const CONVERTS = /(^|\s)(text|eol|crlf|ident|filter|working-tree-encoding)(=|\s|$)/m;
/** LFS pointers are told by their size; what another filter does to a file of the same size only git can say. */
const OTHER_FILTER = /(^|\s)filter=(?!lfs(\s|$))/m;

function readAttributes(path: string | Buffer): string {
  try {
    const found = statSync(path);
    return found.isFile() && found.size <= MAX_ATTRIBUTE_BYTES ? readFileSync(path, "latin1") : "";
  } catch {
    return "";
  }
}

interface RepositoryScope {
  workTree: string;
  repository: UserRepository | undefined;
  readingPlace(): Parameters<Git["run"]>[0];
}

/** Those of the entries whose bytes on disk are (or may be) others than those of their blob. */
export async function findConverted(
  git: Git,
  scope: RepositoryScope,
  settings: UserSettings,
  entries: readonly IndexEntry[],
): Promise<IndexEntry[]> {
  if (scope.repository === undefined) return [];
  const attributeFiles = entries.filter(({ path }) => path === ".gitattributes" || path.endsWith("/.gitattributes"));
  const texts = [
    readAttributes(settings.attributesFile),
    readAttributes(join(scope.repository.commonDir, "info", "attributes")),
    ...attributeFiles.slice(0, MAX_ATTRIBUTE_FILES).map(({ path }) => readAttributes(onDisk(scope.workTree, path))),
  ];
  const converts = settings.convertsLineEnds || texts.some((text) => CONVERTS.test(text));
  if (!converts) return [];
  const sizes = await git.run(scope.readingPlace(), ["cat-file", "--batch-check=%(objectsize)", "--buffer"], {
    input: Buffer.from(entries.map((entry) => `${entry.blob}\n`).join(""), "latin1"),
  });
  const lines = sizes.stdout.toString("latin1").split("\n");
  // Where git cannot tell (a missing object says so on its line) the file is read.
  const found = new Set(entries.filter((entry, index) => lines[index] !== String(entry.bytes)));
  if (texts.some((text) => OTHER_FILTER.test(text))) {
    // In the user's git directory, because ours overrules all attributes. `check-attr` executes nothing.
    const place = { gitDir: scope.repository.gitDir, workTree: scope.workTree, cwd: scope.workTree };
    const quiet = ["-c", "core.fsmonitor=false", "-c", `core.attributesFile=${settings.attributesFile}`];
    const result = await git.run(place, [...quiet, "check-attr", "-z", "--stdin", "filter"], {
      input: joinNul(entries.map((entry) => entry.path)),
    });
    const fields = result.stdout.toString("latin1").split("\0");
    for (const [index, entry] of entries.entries()) {
      const value = fields[index * 3 + 2];
      if (value !== "unspecified" && value !== "unset") found.add(entry);
    }
  }
  return [...found];
}
