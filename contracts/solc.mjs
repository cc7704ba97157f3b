#!/usr/bin/env node
// The compiler that forge calls: solc-js behind the command line of solc. forge sends every source inside the standard
// JSON on stdin, so that no import has to be looked up here.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const solc = createRequire(import.meta.url)("solc");

if (process.argv.includes("--version")) {
    console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes("--standard-json")) {
    process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
    console.error("solc.mjs knows --version and --standard-json only");
    process.exitCode = 2;
}
