/**
 * Judges one bundle by what the server's vm context offers.
 *
 * stdin: {"code", "globals", "modules", "cures"}; stdout: [{"rule", "severity", "message", "line", "column"}],
 * line 1-based, column 0-based.
 */

import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { parse } from 'acorn';
import { consoleRule, GlobalsRule, lastStatement, requireRule, timeLimitRule } from './rules.mjs';
import { children, walk } from './tree.mjs';

const RULES = [consoleRule, requireRule, timeLimitRule];
const OPTIONS = { ecmaVersion: 'latest', locations: true, allowHashBang: false };

function* search(node, wanted) {
  for (const [, child] of children(node)) {
    if (wanted(child)) {
      yield child;
    }
    yield* search(child, wanted);
  }
}

const first = (program, wanted) => search(program, wanted).next().value;

/** Says why code that is no script is none. */
function* notAScript(code, error) {
  let module;
  try {
    module = parse(code, { ...OPTIONS, sourceType: 'module' });
  } catch {
    const { line, column } = error.loc;
    const message = error.message.replace(/ \(\d+:\d+\)$/, '');
    yield ['syntax', 'error', { loc: { start: { line, column } } }, `the server cannot read this: ${message}`];
    return;
  }
  const esm = first(module, (node) => /^(Import|Export)\w*Declaration$|^MetaProperty$/.test(node.type) && !node.meta?.name?.startsWith('new'));
  const awaits = first(module, (node) => node.type === 'AwaitExpression' || (node.type === 'ForOfStatement' && node.await));
  if (esm) {
    yield ['esm', 'error', esm, 'the server runs CommonJS only: no import, export or import.meta'];
  } else if (awaits) {
    yield ['top-level-await', 'error', awaits, 'the server cannot await outside a function'];
  } else {
    yield ['syntax', 'error', module.body[0] ?? module, error.message];
  }
}

function* judge({ code, ...given }) {
  let program;
  try {
    program = parse(code, { ...OPTIONS, sourceType: 'script' });
  } catch (error) {
    yield* notAScript(code, error);
    return;
  }
  const names = runInNewContext('Object.getOwnPropertyNames(globalThis)');
  const shape = { ...given, language: new Set([...names, 'undefined']) };
  const globals = new GlobalsRule();
  const found = [...lastStatement(program, code)];
  walk(program, (node, scope, ancestors) => {
    for (const rule of RULES) {
      found.push(...rule(node, scope, ancestors, shape));
    }
    globals.visit(node, scope, ancestors, shape);
  });
  yield* found;
  yield* globals.findings(shape);
}

const findings = [...judge(JSON.parse(readFileSync(0, 'utf8')))];
process.stdout.write(
  JSON.stringify(
    findings.map(([rule, severity, node, message]) => ({ rule, severity, message, ...node.loc.start }))
  )
);
