import type { CodeableConcept, Observation, ObservationComponent, Quantity } from '@medplum/fhirtypes';
import { isAiLabelled } from '../commands/label.ts';
import { converted, type UnitProblem } from './quantity.ts';
import type { CriticalRule } from './tables.ts';

/** Interpretation codes by which a laboratory calls a result critical. */
export const CRITICAL_CODES = ['HH', 'LL', 'AA'] as const;
export type CriticalCode = (typeof CRITICAL_CODES)[number];

/** A result, or a component of one, that is critical. */
export interface CriticalFinding {
  /** `Observation/id` */
  observation: string;
  /** Id of the rule; undefined where only the laboratory's own interpretation says so. */
  rule?: string;
  /** Of what. */
  name: string;
  /** LOINC code of the result or component. */
  loinc?: string;
  interpretation: CriticalCode;
  /** Whether a limit was passed, or the laboratory says so. */
  basis: 'limit' | 'interpretation';
  /** As reported. */
  value?: number;
  comparator?: string;
  unit?: string;
  /** The limit that was passed, in the rule's unit. */
  limit?: number;
  limitUnit?: string;
  /** Not final yet. */
  preliminary: boolean;
  /** An instant or a day; undefined where the result has none. */
  date: string | undefined;
}

/** Why a result was not compared with a limit. */
export type NotAssessed =
  UnitProblem | 'NO_NUMBER' | 'IMPLAUSIBLE' | 'COMPARATOR' | 'NO_RULE_FOR_AGE' | 'AI_LABELLED' | 'FUTURE_DATE';

export interface Unassessed {
  observation: string;
  rule: string;
  loinc?: string;
  reason: NotAssessed;
}

/** What is said of one Observation. */
export interface Assessment {
  critical: CriticalFinding[];
  /** Values in a unit that the rule does not know, none, or two that contradict each other. */
  unitMismatches: Unassessed[];
  /** Values that no limit could be held against, for other reasons. */
  notAssessed: Unassessed[];
  /** Rules whose limits were held against a value. */
  compared: string[];
}

/** Statuses under which there is a result. */
const RESULT = ['preliminary', 'final', 'amended', 'corrected'];
const LOINC = 'http://loinc.org';
const INTERPRETATION = 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation';
const UNIT_PROBLEMS: readonly NotAssessed[] = ['UNIT_MISSING', 'UNIT_MISMATCH', 'UNIT_CONTRADICTORY'];

/**
 * Holds an Observation and its components against the limits.
 *
 * An interpretation HH, LL or AA of the laboratory is critical whatever the table says. What artificial intelligence
 * asserted is never critical by itself.
 * @param age - Years; undefined where it is not known: then the limits of adults hold.
 */
export function assessObservation(
  observation: Observation,
  age: number | undefined,
  rules: readonly CriticalRule[]
): Assessment {
  const assessment: Assessment = { critical: [], unitMismatches: [], notAssessed: [], compared: [] };
  if (!RESULT.includes(observation.status)) {
    return assessment;
  }
  for (const part of [observation, ...(observation.component ?? [])]) {
    assessPart(observation, part, age, rules, assessment);
  }
  return assessment;
}

type Part = Observation | ObservationComponent;

function assessPart(
  observation: Observation,
  part: Part,
  age: number | undefined,
  rules: readonly CriticalRule[],
  assessment: Assessment
): void {
  const rule = rules.find(({ loinc }) => loincCodes(part.code).some((code) => loinc.includes(code)));
  const loinc = loincCodes(part.code)[0];
  const reported = criticalCode(part.interpretation);
  const compared = rule ? compare(part, age, rule) : undefined;
  const common = {
    observation: `Observation/${observation.id}`,
    ...(rule ? { rule: rule.id } : {}),
    name: rule?.name ?? nameOf(part.code),
    ...(loinc === undefined ? {} : { loinc }),
    ...reportedValue(part.valueQuantity),
    preliminary: observation.status === 'preliminary',
    date: dateOf(observation),
  };
  const aiLabelled = isAiLabelled(observation) && (reported !== undefined || typeof compared === 'object');
  const reason = aiLabelled ? 'AI_LABELLED' : typeof compared === 'string' ? compared : undefined;
  if (reason !== undefined && (rule || aiLabelled)) {
    const entry = {
      observation: common.observation,
      rule: rule?.id ?? 'interpretation',
      ...(loinc ? { loinc } : {}),
      reason,
    };
    (UNIT_PROBLEMS.includes(reason) ? assessment.unitMismatches : assessment.notAssessed).push(entry);
  }
  if (aiLabelled) {
    return;
  }
  if (rule && typeof compared === 'object') {
    assessment.compared.push(rule.id);
  }
  if (rule && typeof compared === 'object' && compared.passed) {
    const { passed: limit, interpretation } = compared;
    assessment.critical.push({ ...common, interpretation, basis: 'limit', limit, limitUnit: rule.unit });
  } else if (reported) {
    assessment.critical.push({ ...common, interpretation: reported, basis: 'interpretation' });
  }
}

/** Whether a limit is passed, or why that cannot be said; undefined where there is nothing to compare. */
type Comparison = { passed?: number; interpretation: CriticalCode } | { passed?: undefined } | NotAssessed | undefined;

function compare(part: Part, age: number | undefined, rule: CriticalRule): Comparison {
  const quantity = part.valueQuantity;
  if (typeof quantity?.value !== 'number' || !Number.isFinite(quantity.value)) {
    return hasOtherValue(part) || quantity ? 'NO_NUMBER' : undefined;
  }
  if (age !== undefined && age < rule.fromAge) {
    return 'NO_RULE_FOR_AGE';
  }
  const given = converted(quantity, rule);
  if (typeof given === 'string') {
    return given;
  }
  const [least, greatest] = rule.plausible;
  if (given.value < least || given.value > greatest) {
    return 'IMPLAUSIBLE';
  }
  return passedLimit(given.value, quantity.comparator, rule);
}

/** `>6.0` may be 6.4 or 8, and `<6.8` anything down to nothing: where a limit lies in between, nothing can be said. */
function passedLimit(value: number, comparator: Quantity['comparator'], rule: CriticalRule): Comparison {
  const { low, high } = rule;
  const atLeast = comparator === undefined || comparator === '>' || comparator === '>=';
  const atMost = comparator === undefined || comparator === '<' || comparator === '<=';
  if (atLeast && high !== undefined && value >= high) {
    return { passed: high, interpretation: 'HH' };
  }
  if (atMost && low !== undefined && value <= low) {
    return { passed: low, interpretation: 'LL' };
  }
  const open =
    (comparator?.startsWith('>') === true && (high !== undefined || (low !== undefined && value < low))) ||
    (comparator?.startsWith('<') === true && (low !== undefined || (high !== undefined && value > high)));
  return open || !(atLeast || atMost) ? 'COMPARATOR' : {};
}

function hasOtherValue(part: Part): boolean {
  return Object.keys(part).some((key) => key.startsWith('value'));
}

function reportedValue(quantity: Quantity | undefined): Pick<CriticalFinding, 'value' | 'comparator' | 'unit'> {
  return {
    ...(typeof quantity?.value === 'number' ? { value: quantity.value } : {}),
    ...(quantity?.comparator === undefined ? {} : { comparator: quantity.comparator }),
    ...(quantity?.unit === undefined && quantity?.code === undefined ? {} : { unit: quantity.unit ?? quantity.code }),
  } as Pick<CriticalFinding, 'value' | 'comparator' | 'unit'>;
}

function criticalCode(interpretation: readonly CodeableConcept[] | undefined): CriticalCode | undefined {
  const codings = (interpretation ?? []).flatMap(({ coding }) => coding ?? []);
  const codes = codings.filter(({ system }) => system === INTERPRETATION).map(({ code }) => code);
  return CRITICAL_CODES.find((code) => codes.includes(code));
}

function loincCodes(code: CodeableConcept | undefined): string[] {
  return (code?.coding ?? []).filter(({ system }) => system === LOINC).map((coding) => coding.code ?? '');
}

function nameOf(code: CodeableConcept | undefined): string {
  const name = code?.text ?? code?.coding?.find(({ display }) => display)?.display ?? 'Result';
  return name.slice(0, 200).toWellFormed();
}

/** When a result was true of the patient, or was issued. */
export function dateOf(observation: Observation): string | undefined {
  return (
    observation.effectiveDateTime ??
    observation.effectiveInstant ??
    observation.effectivePeriod?.end ??
    observation.effectivePeriod?.start ??
    observation.issued
  );
}
