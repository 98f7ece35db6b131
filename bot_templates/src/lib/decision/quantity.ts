import type { Quantity } from '@medplum/fhirtypes';
import { TABLES, type CriticalRule } from './tables.ts';

const UCUM = 'http://unitsofmeasure.org';

/** A value in the unit of a rule. */
export interface Converted {
  value: number;
  /** UCUM code in which it was reported. */
  unit: string;
}

/** Why a value cannot be compared. */
export type UnitProblem = 'UNIT_MISSING' | 'UNIT_MISMATCH' | 'UNIT_CONTRADICTORY';

/**
 * A quantity in the unit of a rule, or why it cannot be said.
 *
 * A UCUM code counts as it stands, a unit in words by the spellings of the table. Where code and words name different
 * units, neither is believed.
 */
export function converted(quantity: Quantity, rule: CriticalRule): Converted | UnitProblem {
  const coded = quantity.system === undefined || quantity.system === UCUM ? quantity.code : undefined;
  const byCode = coded === undefined ? undefined : codedUnit(coded, quantity.system === UCUM);
  const byWords = quantity.unit === undefined ? undefined : spelledUnit(quantity.unit);
  // A code of another system is not believed, but it may speak against the words.
  const said = byCode ?? (quantity.code === undefined ? undefined : spelledUnit(quantity.code));
  if (said !== undefined && byWords !== undefined && said !== byWords && !areEqual(said, byWords, rule)) {
    return 'UNIT_CONTRADICTORY';
  }
  const given = quantity.code ?? quantity.unit;
  if (given === undefined || given.trim() === '') {
    return '1' in rule.units ? inUnit(quantity, '1', rule) : 'UNIT_MISSING';
  }
  const unit = byCode ?? byWords;
  return unit !== undefined && Object.hasOwn(rule.units, unit) ? inUnit(quantity, unit, rule) : 'UNIT_MISMATCH';
}

function inUnit(quantity: Quantity, unit: string, rule: CriticalRule): Converted {
  const conversion = rule.units[unit] as CriticalRule['units'][string];
  const [factor, summand] = Array.isArray(conversion) ? conversion : [conversion, 0];
  // Ten digits: what a multiplication adds beyond them is no measurement.
  return { value: Number(((quantity.value as number) * factor + summand).toPrecision(10)), unit };
}

/** Whether two units are the same for a rule, as mmol/L and meq/L of potassium are. */
function areEqual(one: string, other: string, rule: CriticalRule): boolean {
  return Object.hasOwn(rule.units, one) && rule.units[one] === rule.units[other];
}

const CODES = new Set([
  ...TABLES.criticalValues.rules.flatMap(({ units }) => Object.keys(units)),
  ...TABLES.criticalValues.otherUnits,
]);
const SPELLINGS = new Map([
  ...[...CODES].map((code) => [folded(code), code] as const),
  ...Object.entries(TABLES.criticalValues.spellings).map(([spelling, code]) => [folded(spelling), code] as const),
]);

/** Whether the tables know a UCUM code. */
export function isKnownUnit(code: string): boolean {
  return CODES.has(code);
}

/** A UCUM code that the tables know; annotations such as `{beats}` say nothing of the size. */
function codedUnit(code: string, isUcum: boolean): string | undefined {
  const bare = code.replace(/\{[^{}]*\}/g, '');
  const plain = bare === '' ? '1' : bare;
  if (CODES.has(plain)) {
    return plain;
  }
  return isUcum ? undefined : spelledUnit(code);
}

function spelledUnit(text: string): string | undefined {
  return SPELLINGS.get(folded(text)) ?? SPELLINGS.get(folded(text.replace(/\{[^{}]*\}/g, '')));
}

/** Case and the two micro signs do not count in words. */
function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
}
