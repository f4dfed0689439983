/** The one place that reads the process's environment. Everything else is given what it returns. */
import { userInfo } from "node:os";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HostFacts {
  env: Environment;
  platform: NodeJS.Platform;
  /** The working directory, or undefined where it has been removed. */
  cwd: string | undefined;
  /** Home by the user database, for processes without HOME; undefined where it has none. */
  userHome: string | undefined;
  uid: number;
}

/** A snapshot of what this process was started with. */
export function readHostFacts(): HostFacts {
  let cwd: string | undefined;
  try {
    cwd = process.cwd();
  } catch {
    cwd = undefined; // removed under us: paths must then be absolute
  }
  const env = { ...process.env };
  return { env, platform: process.platform, cwd, userHome: env.HOME ?? homeOfUser(), uid: process.getuid?.() ?? 0 };
}

function homeOfUser(): string | undefined {
  try {
    return userInfo().homedir;
  } catch {
    return undefined; // a uid without an entry, as containers have it
  }
}
