/**
 * Compiles the contracts with the pinned compiler, without forge, so that what Python deploys can be built anywhere
 * that has Node.js. The settings are those of foundry.toml; test/Generated.t.sol compares the bytecode of both.
 */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

import solc from "solc";

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
export const EVM_VERSION = "london";

/** The compiler's version without its build platform, e.g. `0.8.37+commit.f401782d`. */
export const COMPILER = solc.version().replace(/\.Emscripten.*$/, "");

/**
 * The solc output of every contract below `src/`, by contract name, with `immutables` added: what each immutable
 * variable is called, by the number solc gave it.
 */
export function compile() {
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(sources().map((path) => [path, { content: readFileSync(join(ROOT, path), "utf8") }])),
    settings: {
      remappings: ["@openzeppelin/=node_modules/@openzeppelin/"],
      evmVersion: EVM_VERSION,
      optimizer: { enabled: true, runs: 10_000 },
      metadata: { bytecodeHash: "none", appendCBOR: false },
      outputSelection: {
        "*": {
          "": ["ast"],
          "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"],
        },
      },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
  const errors = (output.errors ?? []).filter((error) => error.severity === "error");
  if (errors.length > 0) {
    throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
  }
  const immutables = Object.fromEntries(Object.values(output.sources).flatMap(({ ast }) => immutableNames(ast)));
  return Object.fromEntries(
    Object.entries(output.contracts)
      .filter(([path]) => path.startsWith("src/"))
      .flatMap(([, contracts]) => Object.entries(contracts))
      .map(([name, contract]) => [name, { ...contract, immutables }]),
  );
}

function sources() {
  return readdirSync(join(ROOT, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".sol"))
    .map((entry) => relative(ROOT, join(entry.parentPath ?? entry.path, entry.name)).split(sep).join("/"))
    .sort();
}

function readImport(path) {
  try {
    return { contents: readFileSync(join(ROOT, path), "utf8") };
  } catch (error) {
    return { error: `${path}: ${error.message}` };
  }
}

/** Pairs of solc's number and our name (`Contract.VARIABLE`) of all immutable variables of a source. */
function immutableNames(ast) {
  return ast.nodes
    .filter((node) => node.nodeType === "ContractDefinition")
    .flatMap((contract) =>
      contract.nodes
        .filter((node) => node.nodeType === "VariableDeclaration" && node.mutability === "immutable")
        .map((variable) => [variable.id, `${contract.name}.${variable.name}`]),
    );
}
