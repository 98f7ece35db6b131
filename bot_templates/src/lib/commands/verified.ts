import type { CodeableConcept, Observation, ObservationReferenceRange, Quantity } from '@medplum/fhirtypes';
import { isAiLabelled } from './label.ts';

export const INTERPRETATION_SYSTEM = 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation';

export type Level = 'abnormal' | 'critical';
export type Direction = 'high' | 'low' | 'any';

/** What an interpretation code says of a result. */
export interface Abnormality {
  level: Level;
  direction: Direction;
}

/** The codes that a flag may carry, and what each claims. */
export const INTERPRETATIONS: Readonly<Record<string, Abnormality & { display: string }>> = {
  A: { level: 'abnormal', direction: 'any', display: 'Abnormal' },
  AA: { level: 'critical', direction: 'any', display: 'Critical abnormal' },
  H: { level: 'abnormal', direction: 'high', display: 'High' },
  HU: { level: 'abnormal', direction: 'high', display: 'Significantly high' },
  HH: { level: 'critical', direction: 'high', display: 'Critical high' },
  L: { level: 'abnormal', direction: 'low', display: 'Low' },
  LU: { level: 'abnormal', direction: 'low', display: 'Significantly low' },
  LL: { level: 'critical', direction: 'low', display: 'Critical low' },
};

/** Codes by which the laboratory says that nothing is wrong. */
const NORMAL = ['N', 'NEG', 'ND', 'NR', 'S'];
/** Statuses of a result that stands. */
const FINAL = ['final', 'amended', 'corrected'];

/** What a value means by a table of critical limits; undefined where the table has nothing to say. */
export type CriticalTable = (observation: Observation) => Abnormality | undefined;

/**
 * Whether a result bears out what a flag claims of it.
 *
 * Only what code can tell counts: the laboratory's interpretation codes, the value against the observation's own
 * reference range, a table of critical limits; of an observation with components, one of them must bear it out. A
 * result that is not final, or that a model made, bears out nothing, and neither does one whose signs contradict one
 * another.
 */
export function isBorneOut(claim: Abnormality, observation: Observation, table: CriticalTable): boolean {
  if (!FINAL.includes(observation.status) || isAiLabelled(observation)) {
    return false;
  }
  return partsOf(observation).some((part) =>
    consistentSigns(part, table).some(
      ({ level, direction }) =>
        (claim.level === 'abnormal' || level === 'critical') &&
        (claim.direction === 'any' || claim.direction === direction)
    )
  );
}

/** The observation without its components, and each component as if it were one. */
function partsOf(observation: Observation): Observation[] {
  const { component = [], ...whole } = observation;
  const { interpretation: _, referenceRange: __, ...head } = withoutValue(whole);
  return [whole, ...component.map((part) => ({ ...head, ...part }))];
}

function withoutValue(observation: Observation): Observation {
  return Object.fromEntries(Object.entries(observation).filter(([key]) => !key.startsWith('value'))) as unknown as Observation;
}

/** What speaks for a part's being abnormal; nothing where something speaks against it. */
function consistentSigns(part: Observation, table: CriticalTable): Abnormality[] {
  const codes = codesOf(part.interpretation);
  const position = positionOf(part);
  const signs: Abnormality[] = [
    ...codes.map((code) => INTERPRETATIONS[code]),
    position === 'high' || position === 'low' ? { level: 'abnormal' as const, direction: position } : undefined,
    table(part),
  ].filter((sign) => sign !== undefined);
  const directions = new Set(signs.map(({ direction }) => direction).filter((each) => each !== 'any'));
  const saidNormal = codes.some((code) => NORMAL.includes(code));
  const contradictory = directions.size > 1 || saidNormal || (position === 'within' && directions.size > 0);
  return contradictory ? [] : signs;
}

function codesOf(interpretation: readonly CodeableConcept[] | undefined): string[] {
  const codings = (interpretation ?? []).flatMap(({ coding }) => coding ?? []);
  return codings.filter(({ system }) => system === INTERPRETATION_SYSTEM).map(({ code }) => code ?? '');
}

/** Where a value lies by its own reference range; undefined where that cannot be told. */
export function positionOf(
  part: Pick<Observation, 'referenceRange' | 'valueQuantity' | 'valueInteger'>
): 'high' | 'low' | 'within' | undefined {
  const value: Quantity | undefined =
    part.valueQuantity ?? (part.valueInteger === undefined ? undefined : { value: part.valueInteger });
  const [range, other] = (part.referenceRange ?? []).filter(isNormalRange);
  if (value?.value === undefined || !Number.isFinite(value.value) || range === undefined || other !== undefined) {
    return undefined;
  }
  const { low, high } = range;
  if ((low && !sameUnit(low, value)) || (high && !sameUnit(high, value))) {
    return undefined;
  }
  return compare(value, low?.value, high?.value);
}

/** `<5` is below a limit of 5, and may or may not be below one of 3. */
function compare(quantity: Quantity, low: number | undefined, high: number | undefined): 'high' | 'low' | 'within' | undefined {
  const value = quantity.value as number;
  switch (quantity.comparator) {
    case '<':
    case '<=':
      return low !== undefined && (value < low || (value === low && quantity.comparator === '<')) ? 'low' : undefined;
    case '>':
    case '>=':
      return high !== undefined && (value > high || (value === high && quantity.comparator === '>')) ? 'high' : undefined;
    default:
      if (low !== undefined && value < low) {
        return 'low';
      }
      if (high !== undefined && value > high) {
        return 'high';
      }
      return low !== undefined || high !== undefined ? 'within' : undefined;
  }
}

/** A range for everybody that says what is normal; one for some people or some treatment does not. */
function isNormalRange(range: ObservationReferenceRange): boolean {
  const type = range.type?.coding ?? [];
  return (
    (range.low?.value !== undefined || range.high?.value !== undefined) &&
    (type.length === 0 || type.some(({ code }) => code === 'normal')) &&
    !range.appliesTo?.length &&
    range.age === undefined
  );
}

function sameUnit(limit: Quantity, value: Quantity): boolean {
  if (limit.code !== undefined && value.code !== undefined) {
    return limit.code === value.code && limit.system === value.system;
  }
  // Without words, only two that have no unit at all are alike.
  return limit.unit === value.unit && (limit.unit !== undefined || (limit.code ?? value.code) === undefined);
}
