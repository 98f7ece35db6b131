/** What fails only on the server: one function a rule. Each yields [rule, severity, node, message]. */

import { isBuiltin } from 'node:module';

/** Awaited calls that wait for ever unless an option limits them. */
const LIMITED_CONSTRUCTORS = {
  pg: { Client: ['connectionTimeoutMillis', 'query_timeout'] },
  ioredis: { Redis: ['connectTimeout', 'commandTimeout'], default: ['connectTimeout', 'commandTimeout'] },
};
const CONSTANTS = new Set(['Literal', 'TemplateLiteral']);
const AXIOS_BODY = new Set(['post', 'put', 'patch']);
const AXIOS_PLAIN = new Set(['get', 'delete', 'head', 'options', 'request']);

/** The name of a property that is written as one, such as `a.b` or `a['b']`. */
function propertyName(member) {
  if (member?.type !== 'MemberExpression') {
    return undefined;
  }
  if (!member.computed) {
    return member.property.name;
  }
  return member.property.type === 'Literal' ? String(member.property.value) : undefined;
}

/** What `(0, a.b)` is: `a.b`. */
const lastOf = (node) => (node.type === 'SequenceExpression' ? node.expressions.at(-1) : node);

const isUndeclared = (node, scope, name) =>
  node?.type === 'Identifier' && node.name === name && scope.find(name) === undefined;

/** The module that an expression is, or is a part of: `require('pg')`, its wrapper, or a variable of it. */
function moduleOf(node, scope, depth = 0) {
  if (!node || depth > 8) {
    return undefined;
  }
  switch (node.type) {
    case 'Identifier':
      return moduleOf(scope.find(node.name), scope, depth + 1);
    case 'MemberExpression':
      return moduleOf(node.object, scope, depth + 1);
    case 'SequenceExpression':
      // esbuild calls an import as (0, import_x.default)(…).
      return moduleOf(node.expressions.at(-1), scope, depth + 1);
    case 'CallExpression': {
      if (isUndeclared(node.callee, scope, 'require')) {
        return node.arguments[0]?.type === 'Literal' ? String(node.arguments[0].value) : undefined;
      }
      // esbuild wraps a module as __toESM(require("pg"), 1).
      const [first] = node.arguments;
      const wraps = node.callee.type === 'Identifier' && first?.type === 'CallExpression';
      return wraps ? moduleOf(first, scope, depth + 1) : undefined;
    }
    default:
      return undefined;
  }
}

/** The object literal that an argument is, also by way of a variable; undefined where it cannot be seen. */
function literalOf(node, scope) {
  const found = node?.type === 'Identifier' ? scope.find(node.name) : node;
  return found?.type === 'ObjectExpression' ? found : undefined;
}

/** Whether options give one of these keys, or cannot be judged. */
function gives(options, scope, keys) {
  const literal = literalOf(options, scope);
  if (!literal) {
    return options !== undefined && !CONSTANTS.has(options.type);
  }
  return literal.properties.some(
    (property) =>
      property.type === 'SpreadElement' ||
      property.computed ||
      keys.includes(property.key.name ?? property.key.value)
  );
}

/** Whether a call is an argument of Promise.race, beside something that ends it. */
const isRaced = (ancestors) =>
  ancestors.some(
    (one) =>
      one.type === 'CallExpression' &&
      one.callee.type === 'MemberExpression' &&
      one.callee.object.name === 'Promise' &&
      propertyName(one.callee) === 'race'
  );

export function* consoleRule(node, scope) {
  const name = propertyName(node);
  if (name && name !== 'log' && isUndeclared(node.object, scope, 'console')) {
    yield ['console', 'error', node, `console.${name} does not exist on the server and fails the run; use console.log`];
  }
}

export function* requireRule(node, scope, _ancestors, shape) {
  if (node.type === 'ImportExpression') {
    yield ['dynamic-import', 'error', node, 'import() fails in the server’s vm context; import at the top'];
    return;
  }
  if (node.type !== 'CallExpression' || !isUndeclared(node.callee, scope, 'require')) {
    return;
  }
  const [name] = node.arguments;
  if (name?.type !== 'Literal') {
    yield ['require', 'warning', node, 'require of a name that is computed cannot be judged'];
    return;
  }
  const module = String(name.value);
  const known = shape.modules.some((one) => module === one || module.startsWith(`${one}/`));
  if (!known && !isBuiltin(module)) {
    yield ['require', 'error', node, `the server cannot resolve ${JSON.stringify(module)}`];
  }
}

export function* timeLimitRule(node, scope, ancestors) {
  if (node.type === 'NewExpression') {
    yield* constructorLimit(node, scope);
  }
  if (node.type !== 'CallExpression' || isRaced(ancestors)) {
    return;
  }
  const { callee } = node;
  const ofGlobal = propertyName(callee) === 'fetch' && isUndeclared(callee.object, scope, 'globalThis');
  const ofModule = callee.type !== 'CallExpression' && moduleOf(callee, scope) === 'node-fetch';
  if (isUndeclared(callee, scope, 'fetch') || ofGlobal || ofModule) {
    if (!gives(node.arguments[1], scope, ['signal'])) {
      yield ['time-limit', 'error', node, 'fetch without `signal` can wait for ever: the server stops no awaited call'];
    }
  } else if (moduleOf(callee, scope) === 'axios') {
    yield* axiosLimit(node, scope);
  }
}

function* axiosLimit(node, scope) {
  const name = propertyName(lastOf(node.callee)) ?? 'request';
  const verb = name === 'default' ? 'request' : name;
  if (!AXIOS_BODY.has(verb) && !AXIOS_PLAIN.has(verb)) {
    return;
  }
  const options = verb === 'request' ? node.arguments.at(-1) : node.arguments[AXIOS_BODY.has(verb) ? 2 : 1];
  if (!gives(options, scope, ['signal', 'timeout'])) {
    yield ['time-limit', 'error', node, 'axios without `timeout` or `signal` can wait for ever'];
  }
}

function* constructorLimit(node, scope) {
  const module = moduleOf(node.callee, scope);
  const callee = lastOf(node.callee);
  const name = propertyName(callee) ?? callee.name;
  if (module === 'pg' && name === 'Pool') {
    yield ['pool', 'error', node, 'every run makes a new Pool, which leaks connections; use one Client, closed in finally'];
    return;
  }
  const limits = LIMITED_CONSTRUCTORS[module]?.[name];
  const missing = limits?.filter((key) => !gives(node.arguments.at(-1), scope, [key]));
  if (missing?.length) {
    yield ['time-limit', 'error', node, `${module} without ${missing.join(' and ')} can wait for ever`];
  }
}

/** Names that the code asks for with `typeof` before it uses them: a library that can do without. */
export class GlobalsRule {
  #guarded = new Map();
  #used = [];

  visit(node, scope, ancestors, shape) {
    const parent = ancestors.at(-1);
    const ofGlobalThis = propertyName(node) in shape.cures && isUndeclared(node.object, scope, 'globalThis');
    if (ofGlobalThis && parent.operator !== 'typeof') {
      this.#used.push({ name: propertyName(node), node, scope });
    }
    if (node.type !== 'Identifier' || scope.find(node.name) !== undefined) {
      return;
    }
    if (parent?.type === 'UnaryExpression' && parent.operator === 'typeof') {
      this.#guarded.set(scope.owner, (this.#guarded.get(scope.owner) ?? new Set()).add(node.name));
    } else if (!shape.globals.includes(node.name) && !shape.language.has(node.name)) {
      this.#used.push({ name: node.name, node, scope });
    }
  }

  *findings(shape) {
    for (const { name, node, scope } of this.#used) {
      if (!this.#isGuarded(name, scope)) {
        const rule = name === 'process' ? 'process' : 'missing-global';
        const cure = shape.cures[name];
        yield [rule, 'error', node, `${name} is no global on the server${cure ? `: ${cure}` : ''}`];
      }
    }
  }

  #isGuarded(name, scope) {
    for (let owner = scope.owner; owner; owner = owner.parent?.owner) {
      if (this.#guarded.get(owner)?.has(name)) {
        return true;
      }
    }
    return false;
  }
}

const NEEDS_SEMICOLON = new Set([
  'ExpressionStatement',
  'VariableDeclaration',
  'ThrowStatement',
  'DoWhileStatement',
]);

/** The server's own code follows: without a `;` its first parenthesis calls our last value. */
export function* lastStatement(program, code) {
  const last = program.body.at(-1);
  if (last && NEEDS_SEMICOLON.has(last.type) && code[last.end - 1] !== ';') {
    yield ['last-statement', 'error', last, 'the last statement must end with `;`'];
  }
}
