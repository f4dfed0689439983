/**
 * The models on offer, from the CLI's own `initialize` answer and nothing else: a table of ours would be out of date
 * with the user's next CLI update.
 */
import type { CliModel, InitializeResult } from "../claude/transport.ts";
import { DaemonError } from "../errors.ts";
import type { ModelCatalog, ModelEntry } from "../turn/models.ts";

/** The agent with claude's own choice of model. */
const AGENT = "claude-code";
const AGENT_PREFIX = `${AGENT}:`;
/** The CLI's name for "whatever the account's default is"; on offer as plain `claude-code`, not listed for itself. */
const CLI_DEFAULT = "default";
/** Names in an error message; the whole list is at GET /v1/models. */
const MAX_NAMES_IN_ERROR = 40;

export interface ModelCatalogDeps {
  /** Asks the CLI; called when nothing is known yet, never twice at a time. */
  describe(): Promise<InitializeResult>;
  /** The user's own names for models (`[models.aliases]`), each to one of ours. */
  aliases: Readonly<Record<string, string>>;
}

export interface ResolvedModel extends ModelEntry {
  /** What the CLI is told: its own short name where it has one; undefined leaves the choice to claude. */
  launchModel: string | undefined;
}

export interface LearningCatalog extends ModelCatalog {
  get(id: string): Promise<ResolvedModel>;
  /** Every process that initializes brings a fresh answer: the list follows CLI updates without asking. */
  learn(answer: InitializeResult): void;
}

/** Spellings that work but would only lengthen the list are known without being listed. */
interface KnownModel extends ResolvedModel {
  listed: boolean;
}

export function createModelCatalog(deps: ModelCatalogDeps): LearningCatalog {
  let known: Map<string, KnownModel> | undefined;
  let source: readonly CliModel[] | undefined;
  let asking: Promise<void> | undefined;

  const learn = (answer: InitializeResult) => {
    if (answer.models.length === 0 || (source && sameModels(source, answer.models))) return;
    source = answer.models;
    known = entriesOf(answer.models);
  };
  const ask = () => {
    asking ??= deps
      .describe()
      .then(learn)
      .finally(() => {
        asking = undefined;
      });
    return asking;
  };
  const load = async (): Promise<Map<string, KnownModel>> => {
    if (!known) await ask();
    if (!known) {
      throw new DaemonError("claude_failed", "claude did not say which models it has. Run claude-code-daemon doctor.");
    }
    return known;
  };
  const resolve = (entries: Map<string, KnownModel>, id: string): KnownModel | undefined => {
    const plain = id.endsWith(":latest") ? id.slice(0, -":latest".length) : id;
    const direct = entries.get(id) ?? entries.get(plain);
    if (direct || source?.some((model) => model.resolvedModel !== undefined)) return direct;
    return unlisted(plain, entries);
  };

  return {
    learn,
    async list() {
      const entries = await load();
      const listed = [...entries.values()].filter((entry) => entry.listed);
      for (const [alias, target] of Object.entries(deps.aliases)) {
        const entry = resolve(entries, target);
        if (entry && !entries.has(alias)) listed.push({ ...entry, id: alias });
      }
      return listed.map(({ listed: _, launchModel: __, ...entry }) => entry);
    },
    async get(id) {
      const entries = await load();
      const bare = id.endsWith(":latest") ? id.slice(0, -":latest".length) : id;
      const target = deps.aliases[id] ?? deps.aliases[bare];
      const entry = resolve(entries, id) ?? (target === undefined ? undefined : resolve(entries, target));
      if (entry) {
        const { listed: _, ...model } = entry;
        return model;
      }
      throw new DaemonError("model_not_found", notFound(id, [...entries.values()]), { detail: { param: "model" } });
    },
  };
}

function notFound(id: string, entries: ModelEntry[]): string {
  const names = entries.map((entry) => entry.id).filter((name) => name !== CLI_DEFAULT);
  const shown = id.length > 100 ? `${id.slice(0, 100)}…` : id;
  return `The model ${JSON.stringify(shown)} does not exist here. There is: ${names.slice(0, MAX_NAMES_IN_ERROR).join(", ")}. Other names can be mapped in the config, under [models.aliases].`;
}

function sameModels(left: readonly CliModel[], right: readonly CliModel[]): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

const FULL_ID = /^claude-(?=.*\d)[a-z0-9][a-z0-9.-]*$/;

/** Older CLIs do not say which full ids there are: they are taken at their word, and the model API knows better. */
function unlisted(id: string, entries: Map<string, KnownModel>): KnownModel | undefined {
  const agent = id.startsWith(AGENT_PREFIX);
  const model = agent ? id.slice(AGENT_PREFIX.length) : id;
  const standard = entries.get(AGENT);
  if (!standard || !FULL_ID.test(model)) return undefined;
  const kind = agent ? "agent" : "chat";
  return { ...standard, id, kind, displayName: model, launchModel: model, resolvedModel: model, listed: false };
}

/** `opus[1m]` is a model with a variant of it: a longer context. */
const VARIANT = /\[[^\]]*\]$/;

/**
 * Older CLIs list some models for some accounts in a variant alone (`opus[1m]` and no `opus`), and take the plain name all
 * the same. Clients ask for the plain name: it is on offer wherever the CLI lists its variant.
 */
function withPlainNames(models: readonly CliModel[]): CliModel[] {
  const listed = new Set(models.map((model) => model.value));
  return models.flatMap((model) => {
    const plain = model.value.replace(VARIANT, "");
    if (plain === "" || listed.has(plain)) return [model];
    listed.add(plain);
    const resolvedModel = model.resolvedModel?.replace(VARIANT, "");
    return [{ ...model, value: plain, resolvedModel, displayName: plain }, model];
  });
}

/** Agents first; full ids after the short names, so that a list begins with what people type. */
function entriesOf(models: readonly CliModel[]): Map<string, KnownModel> {
  const entries = new Map<string, KnownModel>();
  const add = (id: string, kind: ModelEntry["kind"], model: CliModel, listed = true) => {
    if (entries.has(id)) return;
    entries.set(id, {
      id,
      kind,
      displayName: kind === "agent" ? `Claude Code (${model.displayName})` : model.displayName,
      // A name that is not the CLI's own short one costs a probe request when a spare takes it over.
      launchModel: id === AGENT ? undefined : model.value,
      resolvedModel: model.resolvedModel,
      contextWindow: undefined,
      efforts: model.efforts,
      listed,
    });
  };
  const standard = models.find((model) => model.value === CLI_DEFAULT) ?? models[0];
  if (standard) add(AGENT, "agent", { ...standard, displayName: "default model" });
  const named = withPlainNames(models.filter((model) => model.value !== CLI_DEFAULT));
  for (const model of named) add(AGENT_PREFIX + model.value, "agent", model);
  for (const model of named) add(model.value, "chat", model);
  for (const model of named) if (model.resolvedModel) add(model.resolvedModel, "chat", model);
  for (const model of models) if (model.resolvedModel) add(model.resolvedModel, "chat", model);
  for (const model of named) if (model.resolvedModel) add(AGENT_PREFIX + model.resolvedModel, "agent", model, false);
  for (const model of models) if (model.resolvedModel) add(AGENT_PREFIX + model.resolvedModel, "agent", model, false);
  if (standard) add(CLI_DEFAULT, "chat", standard, false);
  return entries;
}
