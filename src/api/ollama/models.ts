/** The models in Ollama's shape: names with a tag, and facts that clients read before they offer a model. */
import type { JsonObject } from "../../turn/message.ts";
import type { ModelEntry } from "../../turn/models.ts";

/** The CLI tells no dates; every model carries this one. */
const MODIFIED_AT = "2025-01-01T00:00:00.000000Z";
/** Where the CLI tells no size; what its models have at the least. */
const DEFAULT_CONTEXT = 200_000;
const CAPABILITIES = ["completion", "tools", "vision", "thinking"];
const DETAILS: JsonObject = {
  parent_model: "",
  format: "gguf",
  family: "claude",
  families: ["claude"],
  parameter_size: "",
  quantization_level: "",
};

export function toTagged(id: string): string {
  return id.includes(":") ? id : `${id}:latest`;
}

export function toTag(entry: ModelEntry): JsonObject {
  const name = toTagged(entry.id);
  return {
    name,
    model: name,
    modified_at: MODIFIED_AT,
    size: 1,
    digest: new Bun.CryptoHasher("sha256").update(name).digest("hex"),
    details: DETAILS,
    capabilities: CAPABILITIES,
  };
}

export function toShow(entry: ModelEntry): JsonObject {
  return {
    modelfile: `FROM ${toTagged(entry.id)}\n`,
    parameters: "",
    template: "{{ .Prompt }}",
    license: "",
    details: DETAILS,
    model_info: {
      "general.architecture": "claude",
      "general.parameter_count": 0,
      "claude.context_length": entry.contextWindow ?? DEFAULT_CONTEXT,
    },
    capabilities: CAPABILITIES,
    modified_at: MODIFIED_AT,
  };
}
