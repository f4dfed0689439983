/**
 * The platforms a release is built for, and the Bun each binary carries: the npm package @oven/bun-<runtime> at the pinned
 * version, by the registry's own `integrity`. Windows is not among them: docs/installation.md says why.
 */

/** Moves together with install.sh's, package.json's bun-types and the checksums below; a test compares them. */
export const BUN_VERSION = "1.4.5";

export interface Target {
  /** As in the tarball's name: `<os>-<arch>[-musl][-baseline]`. */
  name: string;
  /** The package's name without `@oven/bun-`, and Bun's name of the compile target without `bun-`. */
  runtime: string;
  /** Of the package's tarball, in the registry's form. */
  integrity: string;
}

export const TARGETS: readonly Target[] = [
  {
    name: "linux-x64",
    runtime: "linux-x64",
    integrity: "sha512-IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==",
  },
  {
    name: "linux-x64-baseline",
    runtime: "linux-x64-baseline",
    integrity: "sha512-s8yMwYcFnnrA178gji0gZbkE2WVDej/Ti1x770oPfihxyRxSMNhGhiAQNXV53aDeraZxksdvKV/RAdQBCd0qPA==",
  },
  {
    name: "linux-arm64",
    runtime: "linux-aarch64",
    integrity: "sha512-4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==",
  },
  {
    name: "linux-x64-musl",
    runtime: "linux-x64-musl",
    integrity: "sha512-10QoW/YfTgnURaGEaHpJCiXjLI2e5iTtfVDaA5JKcyUzaa1cq6cVUY9/Uq5XkYzvtRjHLRe9Oj/lTDIQcxy8HQ==",
  },
  {
    name: "linux-x64-musl-baseline",
    runtime: "linux-x64-musl-baseline",
    integrity: "sha512-cWJhU8h0+MiUgpSt99sQhjxLIIosKEcKYdtKddohokUvAuN6jKOy7g7+QDTZTXtwHxz93wL3BX+L6wXVPDUH3A==",
  },
  {
    name: "linux-arm64-musl",
    runtime: "linux-aarch64-musl",
    integrity: "sha512-XCNc+WvvMAdNNb+OWTogpy+N9wm62fkVeEVLb6how0RZhW5LPi6c7BlkeVCuWps7XjEl2saFpHFa20/1E+PAHg==",
  },
  {
    name: "macos-x64",
    runtime: "darwin-x64",
    integrity: "sha512-qkLPMGHZM9NI6CeHTWwVezzmlo6cC4Ta7yUAjYIWXS366qQcOlcp75t2uZyiuVRBMPS0h9qE0tCcvCHGaFqjJg==",
  },
  {
    name: "macos-x64-baseline",
    runtime: "darwin-x64-baseline",
    integrity: "sha512-zqfLA5A4B+hYMh5WYzYSot3uZ06FzhdP0OEwQisEzdirYtXGj5cQFlfy31BGfNsAsk1Gd/w/OxJ/jqqJ3cMclw==",
  },
  {
    name: "macos-arm64",
    runtime: "darwin-aarch64",
    integrity: "sha512-4MIFXHmctH2EhAxLXm2/qxNtv17dFtLJylvaOCsrgq6KSqHTs6eW5YSrJjRbJxYUJaR901fsN8JfZOa+CsWpWQ==",
  },
];

/** The targets of `--target a,b`, or all; throws naming those there are. */
export function selectTargets(list: string | undefined): readonly Target[] {
  if (list === undefined) return TARGETS;
  const names = new Set(list.split(",").map((name) => name.trim()));
  const unknown = [...names].filter((name) => !TARGETS.some((target) => target.name === name));
  if (unknown.length > 0) {
    const known = TARGETS.map((target) => target.name).join(", ");
    throw new Error(
      `There is no target ${unknown.map((name) => JSON.stringify(name)).join(", ")}; there are: ${known}`,
    );
  }
  return TARGETS.filter((target) => names.has(target.name));
}
