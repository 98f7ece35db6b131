/** Walks a syntax tree (ESTree) with its scopes, and tells which names no scope declares. */

/** One scope: a function, a block, a class or the whole program. */
class Scope {
  /** Name to the expression that the name was declared with, or null. */
  names = new Map();

  constructor(parent, isFunction) {
    this.parent = parent;
    this.isFunction = isFunction;
  }

  find(name) {
    for (let scope = this; scope; scope = scope.parent) {
      if (scope.names.has(name)) {
        return scope.names.get(name);
      }
    }
    return undefined;
  }

  /** The function, or the program, that this scope is part of. */
  get owner() {
    return this.isFunction ? this : this.parent.owner;
  }
}

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);
const BLOCKS = new Set([
  'BlockStatement',
  'StaticBlock',
  'SwitchStatement',
  'ForStatement',
  'ForInStatement',
  'ForOfStatement',
]);

const isNode = (value) => value !== null && typeof value === 'object' && typeof value.type === 'string';

export function* children(node) {
  for (const [key, value] of Object.entries(node)) {
    if (Array.isArray(value)) {
      yield* value.filter(isNode).map((child) => [key, child]);
    } else if (isNode(value)) {
      yield [key, value];
    }
  }
}

/** Every name that a pattern binds. */
function* bound(pattern) {
  switch (pattern?.type) {
    case 'Identifier':
      yield pattern.name;
      break;
    case 'ObjectPattern':
      for (const property of pattern.properties) {
        yield* bound(property.type === 'RestElement' ? property.argument : property.value);
      }
      break;
    case 'ArrayPattern':
      for (const element of pattern.elements) {
        yield* bound(element);
      }
      break;
    case 'AssignmentPattern':
      yield* bound(pattern.left);
      break;
    case 'RestElement':
      yield* bound(pattern.argument);
      break;
  }
}

function declare(scope, pattern, init) {
  for (const name of bound(pattern)) {
    scope.names.set(name, init ?? null);
  }
}

/** Declares what a statement list binds in its own block. */
function declareBlock(scope, statements) {
  for (const statement of statements) {
    if (statement.type === 'VariableDeclaration' && statement.kind !== 'var') {
      statement.declarations.forEach((one) => declare(scope, one.id, one.init));
    } else if (statement.type === 'FunctionDeclaration' || statement.type === 'ClassDeclaration') {
      declare(scope, statement.id, statement);
    }
  }
}

/** Declares every `var` of a function, however deep, but not those of functions inside it. */
function declareVars(scope, node) {
  if (node.type === 'VariableDeclaration' && node.kind === 'var') {
    node.declarations.forEach((one) => declare(scope, one.id, one.init));
  }
  for (const [, child] of children(node)) {
    if (!FUNCTIONS.has(child.type)) {
      declareVars(scope, child);
    }
  }
}

function enter(node, scope) {
  if (FUNCTIONS.has(node.type)) {
    const inner = new Scope(scope, true);
    if (node.type === 'FunctionExpression' && node.id) {
      declare(inner, node.id, node);
    }
    if (node.type !== 'ArrowFunctionExpression') {
      inner.names.set('arguments', null);
    }
    node.params.forEach((parameter) => declare(inner, parameter, null));
    declareVars(inner, node.body);
    return inner;
  }
  if (node.type === 'CatchClause') {
    const inner = new Scope(scope, false);
    declare(inner, node.param, null);
    return inner;
  }
  if (node.type === 'ClassExpression' && node.id) {
    const inner = new Scope(scope, false);
    declare(inner, node.id, node);
    return inner;
  }
  if (BLOCKS.has(node.type)) {
    const inner = new Scope(scope, false);
    const heads = [node.init, node.left].filter((head) => head?.type === 'VariableDeclaration');
    const cases = node.type === 'SwitchStatement' ? node.cases.flatMap((one) => one.consequent) : [];
    declareBlock(inner, [...heads, ...cases, ...(Array.isArray(node.body) ? node.body : [])]);
    return inner;
  }
  return scope;
}

/** Whether an identifier under this key of its parent is a name of something else than a variable. */
function isLabel(parent, key) {
  switch (parent.type) {
    case 'MemberExpression':
      return key === 'property' && !parent.computed;
    case 'Property':
    case 'MethodDefinition':
    case 'PropertyDefinition':
      return key === 'key' && !parent.computed;
    case 'LabeledStatement':
    case 'BreakStatement':
    case 'ContinueStatement':
      return key === 'label';
    case 'MetaProperty':
      return true;
    default:
      return false;
  }
}

/**
 * Calls visit(node, scope, ancestors) for every node; an identifier that is no variable is left out.
 * ancestors begins with the program and ends with the parent.
 */
export function walk(program, visit) {
  const top = new Scope(null, true);
  declareVars(top, program);
  declareBlock(top, program.body);
  const step = (node, scope, ancestors) => {
    const inner = enter(node, scope);
    visit(node, inner, ancestors);
    const below = [...ancestors, node];
    for (const [key, child] of children(node)) {
      if (child.type !== 'Identifier' || !isLabel(node, key)) {
        step(child, inner, below);
      }
    }
  };
  step(program, top, []);
}
