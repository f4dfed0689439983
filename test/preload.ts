/** Runs before every test file: a ceiling for a single test, sized for two busy cores. Nothing waits for it. */
import { setDefaultTimeout } from "bun:test";

setDefaultTimeout(60_000);
