/**
 * Loads one bundle in the shape of the server's vm context, and says whether it has a handler.
 *
 * stdin: {"code", "globals", "modules", "milliseconds"}; stdout: {"rule", "message", "line", "column"} or null. Nothing is
 * called but the code at the top level; modules of the server that are not here are stood in for.
 */

import { readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import vm from 'node:vm';

const HEAD = 'const exports = {}; const module = { exports };\n';
const HEAD_LINES = 1;
const FILE = 'bundle.js';

/** Something that can be called, constructed, extended and asked for anything, and does nothing. */
function standIn() {
  const target = class {};
  return new Proxy(target, {
    apply: () => standIn(),
    construct: () => ({}),
    get: (_, key) => (key === Symbol.toPrimitive ? () => '' : key in target ? target[key] : standIn()),
  });
}

const own = createRequire(import.meta.url);

function requireLike(modules) {
  return (name) => {
    if (isBuiltin(name)) {
      return own(name);
    }
    if (modules.some((one) => name === one || name.startsWith(`${one}/`))) {
      return standIn();
    }
    throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' });
  };
}

function sandbox({ globals, modules }) {
  const real = { console: { log: () => undefined }, require: requireLike(modules), TextDecoder, TextEncoder, URL, URLSearchParams };
  const names = globals.filter((name) => name !== 'module' && name !== 'exports');
  return Object.fromEntries(names.map((name) => [name, real[name] ?? standIn()]));
}

/** The line and column of the bundle that an error's stack names first. */
function placeOf(error) {
  const match = new RegExp(`${FILE}:(\\d+)(?::(\\d+))?`).exec(String(error?.stack));
  return match && { line: Number(match[1]) - HEAD_LINES, column: Number(match[2] ?? 1) - 1 };
}

function load({ code, milliseconds, ...shape }) {
  const tail = '\n(() => [typeof exports.handler, typeof module.exports?.handler])();';
  let kinds;
  try {
    kinds = vm.runInNewContext(HEAD + code + tail, sandbox(shape), { timeout: milliseconds, filename: FILE });
  } catch (error) {
    if (error?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
      return { rule: 'load', message: `loading it takes longer than ${milliseconds} ms` };
    }
    return { rule: 'load', message: `it throws when the server loads it: ${error?.message ?? error}`, ...placeOf(error) };
  }
  const [handler, replaced] = Array.isArray(kinds) || kinds?.length === 2 ? kinds : [];
  if (handler === 'function') {
    return null;
  }
  if (replaced === 'function') {
    const message = 'module.exports = … hides the handler: end with Object.assign(exports, module.exports);';
    return { rule: 'handler', message };
  }
  return { rule: 'handler', message: 'it exports no function `handler`' };
}

const answer = JSON.stringify(load(JSON.parse(readFileSync(0, 'utf8'))));
// A bundle may have left timers behind: they must not keep this program alive.
process.stdout.write(answer, () => process.exit(0));
