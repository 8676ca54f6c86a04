/** A chain of one's own for as long as a function runs: anvil on a free port, as a zero-gas London chain. */

import { spawn } from "node:child_process";
import { createRequire } from "node:module";

import { Contract, ContractFactory, JsonRpcProvider, Wallet, sha256, toUtf8Bytes } from "ethers";

/** What anvil prints when it answers; with port 0 the system chooses one. */
const LISTENING = /Listening on (\S+)/;
const START_LIMIT_MS = 30_000;

/** SHA-256 of a text: a fixed value wherever a digest is needed. */
export const digest = (text) => sha256(toUtf8Bytes(text));

/** A fixed account with a name. */
export const account = (name) => new Wallet(digest(`key of ${name}`));

/** Calls `use` with a provider for a fresh chain, which ends with it whatever happens. */
export async function withChain(use) {
  const options = ["--hardfork", "london", "--port", "0", "--gas-price", "0", "--block-base-fee-per-gas", "0"];
  const anvil = spawn(binary(), options, { stdio: ["ignore", "pipe", "inherit"] });
  const stop = () => anvil.kill("SIGKILL");
  process.once("exit", stop);
  try {
    const url = `http://${await address(anvil)}`;
    const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 10, staticNetwork: true });
    try {
      // Each block a second after the one before, however fast the machine: what depends on the time must not vary.
      await provider.send("anvil_setBlockTimestampInterval", [1]);
      return await use(provider);
    } finally {
      provider.destroy();
    }
  } finally {
    process.removeListener("exit", stop);
    stop();
  }
}

/** Deploys a contract and returns it, to be called by `sender`. */
export async function deploy(sender, abi, bytecode, args) {
  const factory = new ContractFactory(abi, bytecode, sender);
  const contract = await factory.deploy(...args, { gasPrice: 0, type: 0 });
  return contract.waitForDeployment();
}

/** Sends a transaction and returns the gas it used. */
export async function send(contract, method, ...args) {
  const response = await contract.getFunction(method).send(...args, { gasPrice: 0, type: 0 });
  const receipt = await response.wait();
  return Number(receipt.gasUsed);
}

/** Sends a transaction as the platform does, from an account that is thrown away, and returns the gas it used. */
export async function carry(contract, method, ...args) {
  const carrier = Wallet.createRandom().connect(contract.runner.provider);
  return send(new Contract(contract.target, contract.interface, carrier), method, ...args);
}

/** The real binary: npm's launcher would leave it running if it was killed itself. */
function binary() {
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const name = `@foundry-rs/anvil-${process.platform}-${architecture}`;
  const file = process.platform === "win32" ? "anvil.exe" : "anvil";
  try {
    return createRequire(import.meta.url).resolve(`${name}/bin/${file}`);
  } catch (error) {
    throw new Error(`${name} is not installed: run \`npm ci\` in contracts/`, { cause: error });
  }
}

function address(anvil) {
  return new Promise((resolve, reject) => {
    let output = "";
    const fail = (reason) => reject(new Error(`anvil ${reason}:\n${output}`));
    const timer = setTimeout(() => fail("did not answer in time"), START_LIMIT_MS);
    anvil.stdout.on("data", (chunk) => {
      output += chunk;
      const found = LISTENING.exec(output);
      if (found) {
        clearTimeout(timer);
        resolve(found[1]);
      }
    });
    anvil.on("error", reject);
    anvil.on("exit", (code) => fail(`ended with ${code}`));
  });
}
