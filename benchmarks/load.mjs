// Compiles and runs a bundle in a context of its own, as the server does before each run of a bot.
// node load.mjs FILE RUNS: prints the milliseconds of each run as a JSON list.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import vm from 'node:vm';

const [file, runs] = process.argv.slice(2);
const code = readFileSync(file, 'utf8');
const require = createRequire(file);
// What the server has loaded before any bot runs is not the bundle's time.
require('pg');
require('@medplum/core');
const times = [];
for (let run = 0; run < Number(runs); run++) {
  const started = performance.now();
  const wrapped = `const exports = {}; const module = { exports };\n${code}\nexports.handler;`;
  const handler = vm.runInNewContext(wrapped, { require, console, URL, URLSearchParams, TextEncoder, TextDecoder });
  times.push(performance.now() - started);
  if (typeof handler !== 'function') {
    throw new Error(`${file} exports no handler`);
  }
}
console.log(JSON.stringify(times));
