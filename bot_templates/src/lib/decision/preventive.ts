import type {
  CodeableConcept,
  Coding,
  Condition,
  DiagnosticReport,
  Immunization,
  Observation,
  Patient,
  Procedure,
} from '@medplum/fhirtypes';
import { ageInYears } from '../patient.ts';
import type { CodeSet, Doing, Need, PreventiveRule } from './tables.ts';
import { dateOf } from './critical.ts';

/** What the record holds of prevention. */
export interface PreventiveRecord {
  patient: Patient;
  conditions: readonly Condition[];
  procedures: readonly Procedure[];
  observations: readonly Observation[];
  immunizations: readonly Immunization[];
  reports: readonly DiagnosticReport[];
}

/** A recommendation that holds for the patient. */
export interface Recommendation {
  rule: string;
  title: string;
  /** `unknown`: age or sex is not recorded, so it cannot be said whether it holds. */
  status: 'due' | 'up-to-date' | 'unknown';
  /** When it was last done, day, month or year. */
  lastDone?: string;
  /** `Type/id` of what shows it. */
  evidence?: string[];
  source: PreventiveRule['source'];
  note?: string;
}

/** Something that was done, whatever the resource. */
interface Done {
  reference: string;
  codings: readonly Coding[];
  date: string | undefined;
}

/**
 * The recommendations that hold for a patient, due or done.
 * @param today - The day to judge by.
 */
export function recommendationsFor(
  record: PreventiveRecord,
  rules: readonly PreventiveRule[],
  needs: Readonly<Record<string, Need>>,
  today: Date
): Recommendation[] {
  if (record.patient.deceasedBoolean || record.patient.deceasedDateTime) {
    return [];
  }
  const done = everythingDone(record);
  return rules.flatMap((rule) => {
    const applies = appliesTo(rule, record, needs, today);
    return applies === false ? [] : [recommendation(rule, applies, done, record.patient, today)];
  });
}

/** Whether a rule holds; undefined where the record does not say. */
function appliesTo(
  rule: PreventiveRule,
  record: PreventiveRecord,
  needs: Readonly<Record<string, Need>>,
  today: Date
): boolean | undefined {
  const age = ageInYears(record.patient, today);
  const { gender } = record.patient;
  if (
    (age !== undefined && (age < rule.minAge || age > rule.maxAge)) ||
    !(rule.needs ?? []).every((need) => has(record, needs[need]))
  ) {
    return false;
  }
  if (rule.sex !== undefined && gender !== rule.sex && (gender === 'female' || gender === 'male')) {
    return false;
  }
  if (rule.unless && isExcluded(record, rule.unless)) {
    return false;
  }
  const known = age !== undefined && (rule.sex === undefined || gender === rule.sex);
  return known ? true : undefined;
}

function has(record: PreventiveRecord, need: Need | undefined): boolean {
  const { conditions, observations } = need ?? {};
  return (
    (conditions !== undefined && record.conditions.some(({ code }) => isIn(code, conditions))) ||
    (observations !== undefined &&
      record.observations.some(
        ({ code, valueCodeableConcept }) =>
          isIn(code, observations.codes) && isIn(valueCodeableConcept, observations.values)
      ))
  );
}

function isExcluded(record: PreventiveRecord, unless: readonly CodeSet[]): boolean {
  return [...record.conditions, ...record.procedures.filter(isCompleted)].some(({ code }) => isIn(code, unless));
}

function recommendation(
  rule: PreventiveRule,
  applies: true | undefined,
  done: readonly Done[],
  patient: Patient,
  today: Date
): Recommendation {
  const matching = rule.done.map((doing) => ({ doing, all: done.filter((each) => counts(each, doing, patient)) }));
  const fulfilled = matching
    .map(({ doing, all }) => all.filter((each) => isRecent(each, doing, today)).slice(0, Math.max(doing.doses ?? 1, 1)))
    .find((all, index) => all.length >= (rule.done[index]?.doses ?? 1));
  const last = matching.flatMap(({ all }) => all).sort(newestFirst)[0];
  const shown = fulfilled ?? (last ? [last] : []);
  return {
    rule: rule.id,
    title: rule.title,
    status: fulfilled ? 'up-to-date' : applies ? 'due' : 'unknown',
    ...(shown[0]?.date === undefined ? {} : { lastDone: shown[0].date.slice(0, 10) }),
    ...(shown.length > 0 ? { evidence: shown.map(({ reference }) => reference) } : {}),
    source: rule.source,
    ...(rule.note === undefined ? {} : { note: rule.note }),
  };
}

function counts(each: Done, doing: Doing, patient: Patient): boolean {
  if (!each.codings.some((coding) => doing.codes.some((set) => isOf(coding, set)))) {
    return false;
  }
  const age = each.date === undefined ? undefined : ageInYears(patient, new Date(each.date));
  return doing.minAge === undefined || (age !== undefined && age >= doing.minAge);
}

/** Without a date it cannot be recent; what is needed once needs no date. */
function isRecent({ date }: Done, { months }: Doing, today: Date): boolean {
  if (months === undefined) {
    return true;
  }
  const from = new Date(today);
  from.setUTCMonth(from.getUTCMonth() - months);
  return date !== undefined && date.slice(0, 10) >= from.toISOString().slice(0, Math.min(date.length, 10));
}

function newestFirst(one: Done, other: Done): number {
  return (other.date ?? '').localeCompare(one.date ?? '');
}

function everythingDone(record: PreventiveRecord): Done[] {
  const found: Done[] = [
    ...record.procedures.filter(isCompleted).map((each) => ({
      ...referenceAndCodes(each, [each.code]),
      date: each.performedDateTime ?? each.performedPeriod?.end ?? each.performedPeriod?.start,
    })),
    ...record.observations
      .filter(({ status }) => RESULTS.includes(status))
      .filter(hasResult)
      .map((each) => ({ ...referenceAndCodes(each, [each.code]), date: dateOf(each) })),
    ...record.immunizations
      .filter(({ status }) => status === 'completed')
      .map((each) => ({ ...referenceAndCodes(each, [each.vaccineCode]), date: each.occurrenceDateTime })),
    ...record.reports
      .filter(({ status }) => RESULTS.includes(status))
      .map((each) => ({
        ...referenceAndCodes(each, [each.code]),
        date: each.effectiveDateTime ?? each.effectivePeriod?.end ?? each.issued,
      })),
  ];
  return found.sort(newestFirst);
}

const RESULTS = ['final', 'amended', 'corrected', 'preliminary', 'appended'];

function isCompleted({ status }: Procedure): boolean {
  return status === 'completed';
}

/** A measurement without a value was not done. */
function hasResult(observation: Observation): boolean {
  return [observation, ...(observation.component ?? [])].some((part) =>
    Object.keys(part).some((key) => key.startsWith('value'))
  );
}

function referenceAndCodes(
  resource: { resourceType: string; id?: string | undefined },
  concepts: readonly (CodeableConcept | undefined)[]
): Pick<Done, 'reference' | 'codings'> {
  return {
    reference: `${resource.resourceType}/${resource.id}`,
    codings: concepts.flatMap((concept) => concept?.coding ?? []),
  };
}

function isIn(concept: CodeableConcept | undefined, sets: readonly CodeSet[]): boolean {
  return (concept?.coding ?? []).some((coding) => sets.some((set) => isOf(coding, set)));
}

const ICD_10 = 'http://hl7.org/fhir/sid/icd-10';

function isOf({ system, code = '' }: Coding, set: CodeSet): boolean {
  const prefixed = set.prefixes?.some((prefix) => code.startsWith(prefix));
  // A country's own ICD-10 begins its codes as the international one does.
  const same = system === set.system || (set.system === `${ICD_10}-cm` && system === ICD_10);
  return same && (set.codes?.includes(code) === true || prefixed === true);
}
