/** Asks a claude whether it is logged in, without a process that could take a turn: `claude auth status`. */

/** A cold start on a busy machine takes about a second. */
const TIMEOUT_MS = 15_000;
const MAX_OUTPUT_BYTES = 64 * 1024;

/** Undefined where it does not say. Only claude's word for it: whether the provider accepts the login shows in a turn. */
export async function askLogin(path: string, environment: Record<string, string>): Promise<boolean | undefined> {
  try {
    const child = Bun.spawn([path, "auth", "status"], {
      cwd: "/",
      env: environment,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
      maxBuffer: MAX_OUTPUT_BYTES,
    });
    const answer: unknown = JSON.parse(await child.stdout.text());
    if (typeof answer !== "object" || answer === null || !("loggedIn" in answer)) return undefined;
    return typeof answer.loggedIn === "boolean" ? answer.loggedIn : undefined;
  } catch {
    return undefined;
  }
}
