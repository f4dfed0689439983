/**
 * Completion scripts for bash, zsh and fish: fixed text from the program's own tree, so that a TAB starts no process. Only
 * the ids of sessions are asked for, with `session list`. Whatever is quoted here is quoted for the shell at hand.
 */
import type { Command } from "commander";
import {
  type CompletionCommand,
  type CompletionOption,
  flatten,
  toCompletionTree,
  type ValueKind,
} from "./completion-tree.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** The script for the program as it is named on PATH. */
export function renderCompletion(program: Command, shell: Shell): string {
  const tree = toCompletionTree(program);
  if (shell === "bash") return renderBash(tree);
  return shell === "zsh" ? renderZsh(tree) : renderFish(tree);
}

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
const identifier = (text: string) => text.replaceAll(/[^A-Za-z0-9]/g, "_");
const namesOf = ({ short, long }: CompletionOption) => [short, long].filter((name) => name !== undefined);
const join = (path: string, word: string) => (path === "" ? word : `${path} ${word}`);

/** Bash: the words so far give the command's path or the value that is due; then one list of candidates is matched. */
function renderBash(tree: CompletionCommand): string {
  const commands = flatten(tree);
  const kind = (value: ValueKind) => quote(typeof value === "string" ? value : `words ${value.join(" ")}`);
  const steps = commands.flatMap(({ path, commands: children, options }) => [
    ...children.map((child) => `      ${quote(`${path}/${child.name}`)}) path=${quote(child.path)} count=-1 ;;`),
    ...options
      .filter(({ value }) => value !== undefined)
      .map((option) => {
        const patterns = namesOf(option).map((name) => quote(`${path}/${name}`));
        return `      ${patterns.join("|")}) due=${kind(option.value ?? "any")} ;;`;
      }),
  ]);
  const flags = commands.map(
    ({ path, options }) =>
      `      ${quote(path)}) due=${kind(options.flatMap((option) => namesOf(option).slice(-1)))} ;;`,
  );
  const places = commands.flatMap(({ path, commands: children, arguments: places }) => [
    ...(children.length === 0 ? [] : [`      ${quote(`${path}/0`)}) due=${kind(children.map(({ name }) => name))} ;;`]),
    ...places.map(
      ({ value, variadic }, index) => `      ${quote(`${path}/`)}${variadic ? "*" : index}) due=${kind(value)} ;;`,
    ),
  ]);
  const name = identifier(tree.name);
  return `# Bash completion for ${tree.name}, for bash 3.2 and newer. Use it: source <(${tree.name} completion bash)
_${name}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" path='' due='' word index line count=0
  COMPREPLY=()
  # Bash makes words of their own of "=" (--option=value) and ":" (URLs).
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    if [[ $word == = ]]; then continue; fi
    if [[ -n $due ]]; then due=''; continue; fi
    case "$path/$word" in
${steps.join("\n")}
    esac
    if [[ $word != -* ]]; then count=$((count + 1)); fi
  done
  if [[ $cur == = ]]; then cur=''; fi
  if [[ -n $due ]]; then
    :
  elif [[ $cur == -* ]]; then
    case "$path" in
${flags.join("\n")}
    esac
  else
    case "$path/$count" in
${places.join("\n")}
    esac
  fi
  case $due in
    words\\ *) line="$(compgen -W "\${due#words }" -- "$cur")" ;;
    files) compopt -o filenames 2>/dev/null; line="$(compgen -f -- "$cur")" ;;
    directories) compopt -o filenames 2>/dev/null; line="$(compgen -d -- "$cur")" ;;
    sessions)
      line="$(command ${tree.name} session list 2>/dev/null | while read -r word _; do
        if [[ $word == ses_* && $word != *[!A-Za-z0-9_]* && $word == "$cur"* ]]; then printf '%s\\n' "$word"; fi
      done)" ;;
    *) line='' ;;
  esac
  while IFS= read -r word; do
    if [[ -n $word ]]; then COMPREPLY+=("$word"); fi
  done <<<"$line"
}
complete -F _${name} ${tree.name}
`;
}

/** Zsh: one function a command, each a call of `_arguments`. */
function renderZsh(tree: CompletionCommand): string {
  const nameOf = (path: string) => `_${path === "" ? tree.name : identifier(join(tree.name, path))}`;
  const sessions = `_${identifier(tree.name)}_sessions`;
  const text = (value: string) => value.replaceAll(/[\\[\]:]/g, (character) => `\\${character}`);
  const action = (value: ValueKind) => {
    if (typeof value !== "string") return `(${value.join(" ")})`;
    return { files: "_files", directories: "_files -/", sessions, any: " " }[value];
  };
  const specOf = (option: CompletionOption) => {
    const names = namesOf(option);
    const value = option.value === undefined ? "" : `:${text(option.valueName)}:${action(option.value)}`;
    const spec = (name: string) => {
      const takesEqual = option.value !== undefined && name.startsWith("--") ? "=" : "";
      const excluded = option.repeatable ? "*" : names.length > 1 ? `(${names.join(" ")})` : "";
      return quote(`${excluded}${name}${takesEqual}[${text(option.summary)}]${value}`);
    };
    return names.map(spec);
  };
  const functions = flatten(tree).map((command) => {
    const specs = command.options.flatMap(specOf);
    if (command.commands.length === 0) {
      const places = command.arguments.map(({ name, value, variadic }) =>
        quote(`${variadic ? "*" : ""}:${text(name)}:${action(value)}`),
      );
      return `${nameOf(command.path)}() {\n  _arguments -s \\\n    ${[...specs, ...places].join(" \\\n    ")}\n}`;
    }
    const entries = command.commands.map(({ name, summary }) => quote(`${text(name)}:${summary}`));
    const cases = command.commands.map((child) => `      ${child.name}) ${nameOf(child.path)} ;;`);
    return `${nameOf(command.path)}() {
  local curcontext="$curcontext" state line ret=1
  local -a commands
  typeset -A opt_args
  _arguments -C -s \\
    ${[...specs, "'1:command:->command'", "'*::argument:->argument'"].join(" \\\n    ")} && ret=0
  case "$state" in
  command)
    commands=(
      ${entries.join("\n      ")}
    )
    _describe -t commands command commands && ret=0
    ;;
  argument)
    case "$line[1]" in
${cases.join("\n")}
    esac && ret=0
    ;;
  esac
  return ret
}`;
  });
  return `#compdef ${tree.name}
# Zsh completion for ${tree.name}. Use it: source <(${tree.name} completion zsh)
# or write it to a file named _${tree.name} in a directory of your fpath.

${sessions}() {
  setopt localoptions extendedglob
  local line
  local -a found
  for line in "\${(@f)$(command ${tree.name} session list 2>/dev/null)}"; do
    line="\${line//[[:cntrl:]]/ }"
    if [[ "\${line%% *}" == ses_[A-Za-z0-9_]## ]]; then found+=("\${line%% *}:\${line#*  }"); fi
  done
  _describe -t sessions session found
}

${functions.join("\n\n")}

if [ "$funcstack[1]" = ${quote(nameOf(""))} ]; then
  ${nameOf("")} "$@"
else
  compdef ${nameOf("")} ${tree.name}
fi
`;
}

/** Fish: one rule for each candidate, under the condition that the words so far lead to its command. */
function renderFish(tree: CompletionCommand): string {
  const string = (text: string) => `'${text.replaceAll(/[\\']/g, (character) => `\\${character}`)}'`;
  const commands = flatten(tree);
  const name = identifier(tree.name);
  const steps = commands.flatMap(({ path, commands: children, options }) => [
    ...children.map(
      (child) =>
        `      case ${string(`${path}/${child.name}`)}\n        set path ${string(child.path)}\n        set count -1`,
    ),
    ...options
      .filter(({ value }) => value !== undefined)
      .map(
        (option) =>
          `      case ${namesOf(option)
            .map((word) => string(`${path}/${word}`))
            .join(" ")}\n        set due 1`,
      ),
  ]);
  const candidates = (value: ValueKind) => {
    if (typeof value !== "string") return ` -a ${string(value.join(" "))}`;
    return {
      files: " -F",
      directories: " -a '(__fish_complete_directories)'",
      sessions: ` -a '(__${name}_sessions)'`,
      any: "",
    }[value];
  };
  const rules = commands.flatMap(({ path, commands: children, options, arguments: places }) => {
    const at = (count = "") =>
      `complete -c ${tree.name} -n ${string(`__${name}_at ${string(path)} ${count}`.trimEnd())}`;
    return [
      ...children.map((child) => `${at("0")} -a ${string(child.name)} -d ${string(child.summary)}`),
      ...options.map(({ short, long, value, summary }) => {
        const flags = [short && `-s ${short.slice(1)}`, long && `-l ${long.slice(2)}`].filter(Boolean).join(" ");
        return `${at()} ${flags}${value === undefined ? "" : `${value === "files" ? " -r" : " -x"}${candidates(value)}`} -d ${string(summary)}`;
      }),
      ...places
        .map(({ value }, index) => `${at(String(index))}${candidates(value)}`)
        .filter((_, index) => places[index]?.value !== "any"),
    ];
  });
  return `# Fish completion for ${tree.name}. Use it: ${tree.name} completion fish | source
# or write it to ~/.config/fish/completions/${tree.name}.fish

# Whether the words so far lead to the command $argv[1], with $argv[2] arguments after it.
function __${name}_at
  set -l path ''
  set -l due 0
  set -l count 0
  for word in (commandline -opc)[2..-1]
    if test $due = 1
      set due 0
      continue
    end
    switch "$path/$word"
${steps.join("\n")}
    end
    string match -q -- '-*' $word; or set count (math $count + 1)
  end
  # Rules of options name no count: they are asked for the option's value, too.
  test "$path" = "$argv[1]"; or return 1
  test (count $argv) -lt 2; or test $due$argv[2] = 0$count
end

function __${name}_sessions
  command ${tree.name} session list 2>/dev/null | string replace -ra '[[:cntrl:]]' ' ' | string replace -rf '^(ses_[A-Za-z0-9_]+)  (.*)$' '$1\\t$2'
end

complete -c ${tree.name} -e
complete -c ${tree.name} -f
${rules.join("\n")}
`;
}
