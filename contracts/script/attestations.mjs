/**
 * The same facts with the Ethereum Attestation Service (EAS), for comparison: its contracts as published on npm, with
 * the fields of our types as its schemas. An attestation keeps these fields in storage; our registration keeps them in
 * code. `attest` is sent by the attester itself, `attestByDelegation` carried for it on its signature, as with us.
 */

import { createRequire } from "node:module";

import { AbiCoder, Signature, ZeroAddress, ZeroHash } from "ethers";

import { account, carry, deploy, send } from "./chain.mjs";

const ATTEST = [
  { name: "attester", type: "address" },
  { name: "schema", type: "bytes32" },
  { name: "recipient", type: "address" },
  { name: "expirationTime", type: "uint64" },
  { name: "revocable", type: "bool" },
  { name: "refUID", type: "bytes32" },
  { name: "data", type: "bytes" },
  { name: "value", type: "uint256" },
  { name: "nonce", type: "uint256" },
  { name: "deadline", type: "uint64" },
];

/** The gas of both ways to attest `facts`: by name, EIP-712 fields and their values. */
export async function measureAttestations(provider, facts) {
  const attester = account("attester").connect(provider);
  const registry = await deploy(attester, ...published("SchemaRegistry"), []);
  const eas = await deploy(attester, ...published("EAS"), [registry.target]);
  await send(eas, "increaseNonce", 1); // an attester's first delegation costs more than all later ones
  const measured = {};
  for (const [name, { types, value }] of Object.entries(facts)) {
    measured[name] = await measure(attester, registry, eas, types, value);
  }
  return measured;
}

async function measure(attester, registry, eas, types, value) {
  const text = types.map(({ type, name }) => `${type} ${name}`).join(",");
  const schema = await registry.register.staticCall(text, ZeroAddress, true);
  await send(registry, "register", text, ZeroAddress, true);
  const data = {
    recipient: ZeroAddress,
    expirationTime: 0,
    revocable: true,
    refUID: ZeroHash,
    data: AbiCoder.defaultAbiCoder().encode(
      types.map(({ type }) => type),
      types.map(({ name }) => value[name]),
    ),
    value: 0,
  };
  const attest = await send(eas, "attest", { schema, data });
  const signature = await sign(attester, eas, { attester: attester.address, schema, ...data, deadline: 0 });
  const request = { schema, data, signature, attester: attester.address, deadline: 0 };
  return { attest, attestByDelegation: await carry(eas, "attestByDelegation", request) };
}

async function sign(attester, eas, message) {
  const { name, version, chainId, verifyingContract } = await eas.eip712Domain();
  const nonce = await eas.getNonce(attester.address);
  const domain = { name, version, chainId, verifyingContract };
  const { v, r, s } = Signature.from(await attester.signTypedData(domain, { Attest: ATTEST }, { ...message, nonce }));
  return { v, r, s };
}

function published(name) {
  const require = createRequire(import.meta.url);
  const file = `@ethereum-attestation-service/eas-contracts/artifacts/contracts/${name}.sol/${name}.json`;
  const { abi, bytecode } = require(file);
  return [abi, bytecode];
}
