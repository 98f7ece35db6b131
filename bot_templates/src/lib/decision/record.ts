import type {
  AllergyIntolerance,
  Bundle,
  DetectedIssue,
  Medication,
  MedicationRequest,
  MedicationStatement,
  Observation,
  Patient,
  Resource,
} from '@medplum/fhirtypes';
import { holds } from '../chart/chart.ts';
import { type Page, searchAll } from '../chart/search-all.ts';
import { BotFailure } from '../failure.ts';
import { referencedId } from '../ids.ts';
import type { BotRun } from '../run.ts';
import { dateOf } from './critical.ts';
import { issueSystem } from './issues.ts';
import { CURRENT } from './medications.ts';
import type { PreventiveRecord } from './preventive.ts';
import type { DecisionRules } from './rules.ts';
import type { CodeSet } from './tables.ts';

/** Resources of one search. */
const MOST = 500;

/** What the decisions on medications rest on. */
export interface MedicationRecord {
  prescribed: (MedicationRequest | MedicationStatement)[];
  /** By `Medication/id`. */
  medications: Map<string, Medication>;
  allergies: AllergyIntolerance[];
  /** DetectedIssues that this bot made, whatever their status. */
  issues: DetectedIssue[];
  /** Whether the server has more than was read. */
  incomplete: boolean;
}

/**
 * Reads the patient's current medications, allergies and issues.
 * @throws BotFailure UNAUTHORIZED where a type may not be read: half a list is no list to decide by.
 */
export async function readMedications(run: BotRun, patientId: string): Promise<MedicationRecord> {
  const [requests, statements, allergies, issues] = await pagesOf(run, [
    `MedicationRequest?subject=Patient/${patientId}&status=${CURRENT.MedicationRequest.join()}&_include=MedicationRequest:medication`,
    `MedicationStatement?subject=Patient/${patientId}&status=${CURRENT.MedicationStatement.join()}&_include=MedicationStatement:medication`,
    `AllergyIntolerance?patient=Patient/${patientId}`,
    `DetectedIssue?patient=Patient/${patientId}&identifier=${encodeURIComponent(`${issueSystem(run.namespace)}|`)}`,
  ] as const);
  const isOwn = ({ subject }: { subject?: { reference?: string } | undefined }) =>
    referencedId(subject?.reference, 'Patient') === patientId;
  const prescribed = [
    ...ofType<MedicationRequest>(requests, 'MedicationRequest').filter(isOwn),
    ...ofType<MedicationStatement>(statements, 'MedicationStatement').filter(isOwn),
  ];
  const included = [requests, statements].flatMap((page) => ofType<Medication>(page, 'Medication'));
  const current = ofType<AllergyIntolerance>(allergies, 'AllergyIntolerance').filter((each) =>
    holds(each, 'allergies')
  );
  return {
    prescribed,
    medications: new Map(included.map((each) => [`Medication/${each.id}`, each])),
    allergies: current,
    issues: ofType<DetectedIssue>(issues, 'DetectedIssue').filter(({ identifier }) =>
      identifier?.some(({ system }) => system === issueSystem(run.namespace))
    ),
    incomplete: [requests, statements, allergies, issues].some(isCut),
  };
}

/** Results of the last hours, the newest first. */
export interface RecentResults {
  observations: Observation[];
  incomplete: boolean;
}

/** @throws BotFailure UNAUTHORIZED */
export async function readRecentResults(
  run: BotRun,
  patientId: string,
  hours: number,
  now: Date
): Promise<RecentResults> {
  const since = new Date(now.getTime() - hours * 3_600_000).toISOString();
  const [dated, undated] = await pagesOf(run, [
    `Observation?subject=Patient/${patientId}&date=ge${since}&_sort=-date`,
    // One that does not say when it was taken was at least entered lately.
    `Observation?subject=Patient/${patientId}&date:missing=true&_lastUpdated=ge${since}`,
  ] as const);
  const observations = [dated, undated]
    .flatMap((page) => ofType<Observation>(page, 'Observation'))
    .filter(({ subject }) => referencedId(subject?.reference, 'Patient') === patientId)
    .sort((one, other) => (dateOf(other) ?? '').localeCompare(dateOf(one) ?? ''));
  return { observations, incomplete: [dated, undated].some(isCut) };
}

/**
 * Reads what shows that recommendations were followed, by their codes.
 * @throws BotFailure UNAUTHORIZED
 */
export async function readPreventive(
  run: BotRun,
  patient: Patient,
  rules: DecisionRules
): Promise<PreventiveRecord & { incomplete: boolean }> {
  const done = rules.preventive.flatMap((rule) => rule.done).flatMap(({ codes }) => codes);
  const smoking = Object.values(rules.needs).flatMap(({ observations }) => observations?.codes ?? []);
  const subject = `subject=Patient/${patient.id}`;
  const pages = await pagesOf(run, [
    `Condition?${subject}`,
    // All of them: an exclusion is told by how a code begins, and a search cannot ask for that.
    `Procedure?${subject}&_sort=-date`,
    `Observation?${subject}&code=${tokens([...done, ...smoking])}&_sort=-date`,
    `Immunization?patient=Patient/${patient.id}&_sort=-date`,
    `DiagnosticReport?${subject}&code=${tokens(done)}&_sort=-date`,
  ] as const);
  const [conditions, procedures, observations, immunizations, reports] = pages;
  return {
    patient,
    conditions: ofType<PreventiveRecord['conditions'][0]>(conditions, 'Condition').filter((each) =>
      holds(each, 'procedures')
    ),
    procedures: ofType<PreventiveRecord['procedures'][0]>(procedures, 'Procedure'),
    observations: ofType<Observation>(observations, 'Observation').filter((each) => holds(each, 'labs')),
    immunizations: ofType<PreventiveRecord['immunizations'][0]>(immunizations, 'Immunization'),
    reports: ofType<PreventiveRecord['reports'][0]>(reports, 'DiagnosticReport'),
    incomplete: pages.some(isCut),
  };
}

/** LOINC and procedure codes for a search; vaccines are read whole. */
function tokens(sets: readonly CodeSet[]): string {
  const codes = sets.flatMap(({ system, codes: listed }) => (listed ?? []).map((code) => `${system}|${code}`));
  return encodeURIComponent([...new Set(codes)].filter((code) => !code.includes('/cvx|')).join());
}

type Pages<T extends readonly string[]> = { [Index in keyof T]: Bundle };

async function pagesOf<T extends readonly string[]>(run: BotRun, searches: T): Promise<Pages<T>> {
  const counted = searches.map((search) => `${search}&_count=${MOST}`);
  const pages = await searchAll(run, "Reading the patient's record", counted, 'DB_ERROR');
  return pages.map((page, index) => readable(page, searches[index] as string)) as Pages<T>;
}

function readable(page: Page, search: string): Bundle {
  if (page === 'unreadable') {
    throw new BotFailure('UNAUTHORIZED', `The bot may not read ${search.split('?')[0]}, so it decides nothing`);
  }
  return page;
}

function ofType<T extends Resource>(page: Bundle, type: T['resourceType']): T[] {
  const resources = (page.entry ?? []).map(({ resource }) => resource);
  return resources.filter((resource) => resource?.resourceType === type) as T[];
}

function isCut(page: Bundle): boolean {
  return page.link?.some(({ relation }) => relation === 'next') ?? false;
}
