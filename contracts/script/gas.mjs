/**
 * Measures what the ledger's transactions cost, and writes contracts/gas-snapshot.json:
 *
 *     node script/gas.mjs            measure and write
 *     node script/gas.mjs --check    exit 1 if the committed figures are not what is measured
 *
 * Real transactions on a chain of their own: each figure is `gasUsed` of a receipt, so it includes the 21,000 that every
 * transaction costs, and its data. Keys and digests are fixed, so the figures are always the same.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { dataSlice, encodeBytes32String, id as keccak } from "ethers";

import { measureAttestations } from "./attestations.mjs";
import { account, carry, deploy, digest, send, withChain } from "./chain.mjs";
import { COMPILER, EVM_VERSION, ROOT, compile } from "./compiler.mjs";

const SNAPSHOT = join(ROOT, "gas-snapshot.json");

/** What a registration may cost, whatever its kind. */
const REGISTRATION_LIMIT = 150_000;

const ROLES = ["REGISTRAR", "TRAINER", "TRANSLATOR", "VERIFIER"];

/** The EIP-712 types that the roles sign. */
const TYPES = {
  Registration: [
    { name: "id", type: "bytes16" },
    { name: "kind", type: "uint8" },
    { name: "inventoryDigest", type: "bytes32" },
    { name: "recordDigest", type: "bytes32" },
    { name: "parents", type: "bytes16[]" },
  ],
  Revocation: [
    { name: "id", type: "bytes16" },
    { name: "reasonDigest", type: "bytes32" },
  ],
  Evidence: [
    { name: "subject", type: "bytes16" },
    { name: "claim", type: "bytes32" },
    { name: "statementDigest", type: "bytes32" },
    { name: "verdict", type: "uint8" },
  ],
};

async function main(options) {
  if (options.some((option) => option !== "--check")) {
    console.error(`gas: expected nothing or --check, found: ${options.join(" ")}`);
    return 2;
  }
  const figures = await withChain(measure);
  const text = `${JSON.stringify(figures, null, 2)}\n`;
  process.stdout.write(text);

  const above = Object.entries(figures.registration).filter(([, gas]) => gas >= REGISTRATION_LIMIT);
  if (above.length > 0) {
    console.error(`gas: expected less than ${REGISTRATION_LIMIT} for a registration, found: ${above.join("; ")}`);
    return 1;
  }
  if (options.includes("--check")) {
    return check(text);
  }
  writeFileSync(SNAPSHOT, text);
  return 0;
}

function check(text) {
  const committed = existsSync(SNAPSHOT) ? readFileSync(SNAPSHOT, "utf8") : "(none)\n";
  if (committed === text) {
    return 0;
  }
  console.error(`gas: these are not the committed figures, which are:\n${committed}`);
  console.error("Run `node contracts/script/gas.mjs` and commit the result.");
  return 1;
}

async function measure(provider) {
  const { ledger, log } = await deployPlatform(provider);
  const registrations = {
    dataset: registration(1, "dataset"),
    model: registration(2, "model", "dataset"),
    "trained-model": registration(3, "trained model", "model"),
    "imported trained-model": registration(3, "imported model"),
    translation: registration(4, "translation", "trained model"),
  };
  const evidence = {
    subject: uuid("translation"),
    claim: encodeBytes32String("equivalence"),
    statementDigest: digest("statement"),
    verdict: 2,
  };
  const revocation = { id: uuid("dataset"), reasonDigest: digest("reason") };

  const gas = { registration: {} };
  for (const [name, value] of Object.entries(registrations)) {
    const role = { "trained-model": "TRAINER", translation: "TRANSLATOR" }[name] ?? "REGISTRAR";
    gas.registration[name] = await carrySigned(ledger, "register", role, "Registration", value);
  }
  gas.evidence = await carrySigned(log, "record", "VERIFIER", "Evidence", evidence);
  gas.revocation = await carrySigned(ledger, "revoke", "REGISTRAR", "Revocation", revocation);
  gas["model with 32 datasets"] = await carryLargestModel(ledger);
  gas["ethereum attestation service"] = await measureAttestations(provider, {
    model: { types: TYPES.Registration, value: registrations.model },
    evidence: { types: TYPES.Evidence, value: evidence },
  });
  return { compiler: COMPILER, evmVersion: EVM_VERSION, ...gas };
}

/** As the platform does: all from the administrator's key, at its nonces 0 to 5, then the appointments. */
async function deployPlatform(provider) {
  const compiled = compile();
  const admin = account("admin").connect(provider);
  const deployed = (name, ...args) => deploy(admin, compiled[name].abi, compiled[name].evm.bytecode.object, args);
  const implementations = [];
  for (const name of ["DatasetAsset", "ModelAsset", "TrainedModelAsset", "TranslationAsset"]) {
    implementations.push((await deployed(name)).target);
  }
  const ledger = await deployed("AssetLedger", admin.address, implementations);
  const log = await deployed("EvidenceLog", ledger.target);
  for (const role of ROLES) {
    await send(ledger, "appoint", keccak(`${role}_ROLE`), account(role).address, digest(`signing key of ${role}`));
  }
  return { ledger, log };
}

async function carryLargestModel(ledger) {
  const names = Array.from({ length: 32 }, (_, number) => `dataset ${number}`);
  for (const name of names) {
    await carrySigned(ledger, "register", "REGISTRAR", "Registration", registration(1, name));
  }
  const model = registration(2, "largest model", ...names);
  return carrySigned(ledger, "register", "REGISTRAR", "Registration", model);
}

async function carrySigned(contract, method, role, type, value) {
  const { name, version, chainId, verifyingContract } = await contract.eip712Domain();
  const domain = { name, version, chainId, verifyingContract };
  return carry(contract, method, value, await account(role).signTypedData(domain, { [type]: TYPES[type] }, value));
}

function registration(kind, name, ...parents) {
  return {
    id: uuid(name),
    kind,
    inventoryDigest: digest(`inventory of ${name}`),
    recordDigest: digest(`record of ${name}`),
    parents: parents.map(uuid),
  };
}

function uuid(name) {
  return dataSlice(digest(`id of ${name}`), 0, 16);
}

process.exitCode = await main(process.argv.slice(2));
