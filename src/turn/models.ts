/** What the daemon offers as models, taken from the CLI's own `initialize` answer. */
export interface ModelEntry {
  /** `claude-code`, `claude-code:opus`, `opus`, or a full id. */
  id: string;
  kind: "agent" | "chat";
  displayName: string;
  /** The full model id behind an alias, where the CLI tells. */
  resolvedModel: string | undefined;
  /** Tokens; undefined where unknown. */
  contextWindow: number | undefined;
  efforts: string[];
}

export interface ModelCatalog {
  /** All models, agents first. Throws `claude_missing` and the like where the CLI cannot be asked. */
  list(): Promise<ModelEntry[]>;
  /** Resolves an id, alias or `:latest` form; throws `model_not_found`, naming what there is. */
  get(id: string): Promise<ModelEntry>;
}
