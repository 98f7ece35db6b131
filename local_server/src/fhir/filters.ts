/** One search filter as a test on entries, with the ids that can pass where an index knows them. */
import type { Filter } from '@medplum/core';
import {
  badRequest,
  FhirFilterComparison,
  FhirFilterConnective,
  FhirFilterNegation,
  invalidSearchOperator,
  isUUID,
  OperationOutcomeError,
  Operator,
  parseFilterParameter,
  splitSearchOnComma,
} from '@medplum/core';
import type { FhirFilterExpression } from '@medplum/core';
import type { Cell, Column } from '../store/column.ts';
import { instant } from '../store/column.ts';
import type { Entry, Store } from '../store/store.ts';
import { chainTest } from './chains.ts';

export interface Condition {
  /** Nothing outside passes; undefined where no index tells. */
  readonly ids?: ReadonlySet<string>;
  readonly test: (entry: Entry) => boolean;
}

const NO_SUCH_ID = '00000000-0000-0000-0000-000000000000';
const DATE =
  /^(\d(\d(\d[1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[1-2]\d|3[0-1])([T ]([01]\d|2[0-3])(:[0-5]\d(:([0-5]\d|60))?(\.\d{1,9})?)?)?(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00)?)?$/;

/** @throws OperationOutcomeError as the real server words it. */
export function condition(store: Store, type: string, filter: Filter): Condition {
  if (typeof filter.value !== 'string') {
    throw new OperationOutcomeError(badRequest('Search filter value must be a string'));
  }
  if (filter.value.includes('\0')) {
    throw new OperationOutcomeError(badRequest('Search filter value cannot contain null bytes'));
  }
  if (filter.code.startsWith('_has:') || filter.code.includes('.')) {
    return { test: chainTest(store, type, filter) };
  }
  const special = specialCondition(store, type, filter);
  if (special) {
    return special;
  }
  const code = filter.operator === Operator.IDENTIFIER ? `${filter.code}:identifier` : filter.code;
  const column = store.column(type, code);
  if (!column) {
    throw new OperationOutcomeError(badRequest(`Unknown search parameter: ${filter.code}`));
  }
  return columnCondition(column, filter.operator === Operator.IDENTIFIER ? { ...filter, operator: 'eq' } : filter);
}

function specialCondition(store: Store, type: string, filter: Filter): Condition | undefined {
  const negated = isNegated(filter);
  switch (filter.code) {
    case '_id': {
      const ids = new Set(idsOf(filter));
      return negated ? { test: (e) => !ids.has(e.id) } : { ids, test: (e) => ids.has(e.id) };
    }
    case '_lastUpdated':
      return { test: dateTest(filter, (e) => [Date.parse(e.lastUpdated)]) };
    case '_deleted':
      if (filter.value !== 'true' && filter.value !== 'false') {
        throw new OperationOutcomeError(badRequest("Boolean search value must be 'true' or 'false'"));
      }
      return { test: (e) => (Boolean(e.deleted) === (filter.value === 'true')) !== negated };
    case '_project': {
      if (filter.operator === Operator.MISSING || filter.operator === Operator.PRESENT) {
        const missing = (filter.operator === Operator.MISSING) === (filter.value === 'true');
        return { test: (e) => (e.project === null) === missing };
      }
      const ids = new Set(idsOf(filter));
      return { test: (e) => ids.has(e.project ?? '') !== negated };
    }
    case '_compartment': {
      const ids = new Set(idsOf(filter));
      return { test: (e) => compartmentIds(e).some((id) => ids.has(id)) !== negated };
    }
    case '_filter': {
      const test = expressionTest(store, type, parseFilterParameter(filter.value));
      return { test };
    }
    default:
      return undefined;
  }
}

function compartmentIds(entry: Entry): string[] {
  if (entry.deleted) {
    return entry.project ? [entry.project] : [];
  }
  const { meta } = JSON.parse(entry.json) as { meta?: { compartment?: { reference?: string }[] } };
  return (meta?.compartment ?? []).map((c) => c.reference?.split('/').pop() ?? '');
}

function expressionTest(store: Store, type: string, expression: FhirFilterExpression): (entry: Entry) => boolean {
  if (expression instanceof FhirFilterNegation) {
    const child = expressionTest(store, type, expression.child);
    return (e) => !child(e);
  }
  if (expression instanceof FhirFilterConnective) {
    const left = expressionTest(store, type, expression.left);
    const right = expressionTest(store, type, expression.right);
    return expression.keyword === 'and' ? (e) => left(e) && right(e) : (e) => left(e) || right(e);
  }
  if (expression instanceof FhirFilterComparison) {
    const { path, operator, value } = expression;
    return condition(store, type, { code: path, operator, value }).test;
  }
  throw new OperationOutcomeError(badRequest('Unknown filter expression type'));
}

function columnCondition(column: Column, filter: Filter): Condition {
  if (filter.operator === Operator.IN || filter.operator === Operator.NOT_IN) {
    throw new OperationOutcomeError(invalidSearchOperator(filter.operator, column.parameter.id ?? filter.code));
  }
  const cellTest = (test: (cell: Cell) => boolean): Condition => ({ test: (e) => test(column.cell(e.id)) });
  if (column.kind === 'words') {
    return cellTest(wordTest(filter)); // Modifiers such as :missing are not known to names and addresses.
  }
  if (filter.operator === Operator.MISSING || filter.operator === Operator.PRESENT) {
    if (column.kind === 'token' && filter.value !== 'true' && filter.value !== 'false') {
      throw new OperationOutcomeError(
        badRequest(`Search filter ':${filter.operator}' must have a value of 'true' or 'false'`)
      );
    }
    const missing = (filter.operator === Operator.MISSING) === (filter.value === 'true');
    return cellTest((cell) => (cell.values.length === 0 && cell.keys.length === 0) === missing);
  }
  switch (column.kind) {
    case 'token':
      if (filter.operator === Operator.TEXT || filter.operator === Operator.CONTAINS) {
        const parts = splitSearchOnComma(filter.value).map((v) => v.trim().toLowerCase());
        return cellTest((cell) => cell.values.some((v) => parts.some((p) => String(v).toLowerCase().includes(p))));
      }
      if (!isEquality(filter)) {
        throw new OperationOutcomeError(invalidSearchOperator(filter.operator, column.parameter.id ?? filter.code));
      }
      return keyCondition(column, filter, splitSearchOnComma(filter.value).map((v) => column.keyOf(v.trim())));
    case 'code':
      return keyCondition(column, filter, splitSearchOnComma(filter.value));
    case 'reference':
      return keyCondition(column, filter, splitSearchOnComma(filter.value).map((v) => patientReference(filter.code, v)));
    case 'boolean':
      if (filter.value !== 'true' && filter.value !== 'false') {
        throw new OperationOutcomeError(badRequest("Boolean search value must be 'true' or 'false'"));
      }
      return cellTest((cell) => (cell.values[0] === (filter.value === 'true')) !== isNegated(filter));
    case 'string':
      return cellTest(stringTest(filter));
    case 'date':
    case 'instant':
      return { test: dateTest(filter, (e) => column.cell(e.id).values.map(toMs), column.array) };
    default:
      return cellTest(numberTest(column, filter));
  }
}

function keyCondition(column: Column, filter: Filter, keys: string[]): Condition {
  if (!isNegated(filter)) {
    const ids = new Set<string>();
    for (const key of keys) {
      for (const id of column.having(key) ?? []) {
        ids.add(id);
      }
    }
    return { ids, test: (e) => ids.has(e.id) };
  }
  // A missing value is unequal to a token or code, but in SQL an absent reference is unequal to nothing.
  const nullIsUnequal = column.kind !== 'reference' || column.array;
  return {
    test: (e) => {
      const cell = column.cell(e.id);
      return cell.keys.length === 0 ? nullIsUnequal : !keys.some((key) => cell.keys.includes(key));
    },
  };
}

function patientReference(code: string, value: string): string {
  return !value.includes('/') && (code === 'subject' || code === 'patient') ? `Patient/${value}` : value;
}

function wordTest(filter: Filter): (cell: Cell) => boolean {
  const options = splitSearchOnComma(filter.value).map((v) => v.trim());
  return (cell) =>
    cell.values.some((value) => {
      const text = String(value);
      if (filter.operator === Operator.EXACT) {
        return options.includes(text);
      }
      const lower = text.toLowerCase();
      if (filter.operator === Operator.CONTAINS) {
        return options.some((o) => lower.includes(o.toLowerCase()));
      }
      const words = lower.split(/[^\p{L}\p{N}]+/u);
      return options.some((o) =>
        o.toLowerCase().split(/\s+/).filter(Boolean).every((part) => words.some((w) => w.startsWith(part)))
      );
    });
}

function stringTest(filter: Filter): (cell: Cell) => boolean {
  const options = splitSearchOnComma(filter.value);
  const lower = options.map((o) => o.toLowerCase());
  const any = (test: (value: string) => boolean) => (cell: Cell) => cell.values.some((v) => test(String(v)));
  switch (filter.operator) {
    case Operator.EXACT:
      return any((v) => options.includes(v));
    case Operator.CONTAINS:
      return any((v) => lower.some((o) => v.toLowerCase().includes(o)));
    case Operator.EQUALS:
    case Operator.STARTS_WITH:
      return any((v) => lower.some((o) => v.toLowerCase().startsWith(o)));
    default:
      throw new OperationOutcomeError(badRequest(`Unsupported string search operator: ${filter.operator}`));
  }
}

function toMs(value: unknown): number {
  return typeof value === 'number' ? value : (instant(String(value)) ?? Number.NaN);
}

function dateTest(filter: Filter, values: (entry: Entry) => number[], array = false): (entry: Entry) => boolean {
  const wanted = DATE.test(filter.value) ? instant(filter.value.replace(' ', 'T')) : undefined;
  if (wanted === undefined) {
    throw new OperationOutcomeError(badRequest(`Invalid date value: ${filter.value}`));
  }
  if (array) {
    return (e) => values(e).includes(wanted) !== isNegated(filter);
  }
  const compare = comparison(filter.operator);
  return (e) => {
    const value = values(e)[0];
    return value !== undefined && compare(value, wanted);
  };
}

function numberTest(column: Column, filter: Filter): (cell: Cell) => boolean {
  const text = column.parameter.type === 'quantity' ? filter.value.split('|')[0] : filter.value;
  const wanted = Number(text);
  if (!text || Number.isNaN(wanted)) {
    throw new OperationOutcomeError(badRequest(`Invalid quantity value: ${filter.value}`));
  }
  if (filter.operator === Operator.APPROXIMATELY) {
    return (cell) => cell.values.some((v) => Number(v) >= wanted * 0.9 && Number(v) <= wanted * 1.1);
  }
  const compare = comparison(filter.operator);
  return (cell) => cell.values.some((v) => compare(Number(v), wanted));
}

function comparison(operator: Operator): (a: number, b: number) => boolean {
  switch (operator) {
    case Operator.EQUALS:
    case Operator.EXACT:
      return (a, b) => a === b;
    case Operator.NOT:
    case Operator.NOT_EQUALS:
      return (a, b) => a !== b;
    case Operator.GREATER_THAN:
    case Operator.STARTS_AFTER:
      return (a, b) => a > b;
    case Operator.GREATER_THAN_OR_EQUALS:
      return (a, b) => a >= b;
    case Operator.LESS_THAN:
    case Operator.ENDS_BEFORE:
      return (a, b) => a < b;
    case Operator.LESS_THAN_OR_EQUALS:
      return (a, b) => a <= b;
    default:
      throw new Error(`Unknown FHIR operator: ${operator}`);
  }
}

function isNegated(filter: Filter): boolean {
  return filter.operator === Operator.NOT || filter.operator === Operator.NOT_EQUALS;
}

function isEquality(filter: Filter): boolean {
  return isNegated(filter) || filter.operator === Operator.EQUALS || filter.operator === Operator.EXACT;
}

function idsOf(filter: Filter): string[] {
  return splitSearchOnComma(filter.value).map((value) => {
    const id = value.split('/').pop() as string;
    return isUUID(id) ? id : NO_SUCH_ID;
  });
}
