import type {
  AllergyIntolerance,
  Bundle,
  Condition,
  Encounter,
  Immunization,
  Medication,
  MedicationRequest,
  MedicationStatement,
  Observation,
  Procedure,
  Resource,
} from '@medplum/fhirtypes';
import type { ErrorCode } from '../failure.ts';
import type { BotRun } from '../run.ts';
import { type Page, searchAll } from './search-all.ts';

/** What may be asked of a patient's record, and the type of each. */
interface Parts {
  /** Problems that are not resolved, inactive or in remission. */
  conditions: Condition;
  /** Requests that are active or on hold. */
  medicationRequests: MedicationRequest;
  /** Statements of what is taken or intended. */
  medicationStatements: MedicationStatement;
  allergies: AllergyIntolerance;
  /** Newest first. */
  labs: Observation;
  /** Newest first. */
  vitals: Observation;
  /** Of other categories or none, such as a social history. Newest first. */
  otherObservations: Observation;
  procedures: Procedure;
  immunizations: Immunization;
  encounters: Encounter;
}

export type ChartPart = keyof Parts;
export type Chart = { [Part in ChartPart]: Parts[Part][] } & {
  /** Medications that requests and statements refer to, by `Medication/id`. */
  medications: Map<string, Medication>;
  /** Types that the run may not read; what follows from their absence is not known. */
  unreadable: string[];
  /** Parts of which the server has more than were read. */
  incomplete: ChartPart[];
};

/** Resources of one part. */
const MOST = 200;

/** The search of each part, without the patient. */
const SEARCHES: Record<ChartPart, { type: Resource['resourceType']; subject: string; query: string }> = {
  conditions: { type: 'Condition', subject: 'subject', query: '_sort=-_lastUpdated' },
  medicationRequests: {
    type: 'MedicationRequest',
    subject: 'subject',
    query: 'status=active,on-hold&_include=MedicationRequest:medication&_sort=-_lastUpdated',
  },
  medicationStatements: {
    type: 'MedicationStatement',
    subject: 'subject',
    query: 'status=active,intended,on-hold&_include=MedicationStatement:medication&_sort=-_lastUpdated',
  },
  allergies: { type: 'AllergyIntolerance', subject: 'patient', query: '_sort=-_lastUpdated' },
  labs: { type: 'Observation', subject: 'subject', query: 'category=laboratory&_sort=-date' },
  vitals: { type: 'Observation', subject: 'subject', query: 'category=vital-signs&_sort=-date' },
  otherObservations: {
    type: 'Observation',
    subject: 'subject',
    query: 'category:not=laboratory,vital-signs&_sort=-date',
  },
  procedures: { type: 'Procedure', subject: 'subject', query: '_sort=-date' },
  immunizations: { type: 'Immunization', subject: 'patient', query: '_sort=-date' },
  encounters: { type: 'Encounter', subject: 'subject', query: '_sort=-date' },
};

/** Statuses under which a resource says nothing about the patient. */
const VOID = ['entered-in-error', 'cancelled', 'not-done', 'unknown'];
const NOT_ACTIVE = ['inactive', 'remission', 'resolved'];
const NOT_TRUE = ['entered-in-error', 'refuted'];

/**
 * Reads parts of a patient's record in one request, with the rights of the run.
 *
 * What was entered in error, cancelled or refuted is left out. A type that the run may not read is named in
 * `unreadable`, and its parts are empty.
 * @throws BotFailure the given code, or TIMEOUT
 */
export async function readChart(
  run: BotRun,
  patientId: string,
  parts: readonly ChartPart[],
  otherwise: ErrorCode
): Promise<Chart> {
  const searches = parts.map((part) => {
    const { type, subject, query } = SEARCHES[part];
    return `${type}?${subject}=Patient/${patientId}&${query}&_count=${MOST}`;
  });
  const pages = await searchAll(run, "Reading the patient's record", searches, otherwise);
  const chart = emptyChart();
  for (const [index, part] of parts.entries()) {
    const page = pages[index] as Page;
    if (page === 'unreadable') {
      chart.unreadable.push(SEARCHES[part].type);
    } else {
      addPart(chart, part, page);
    }
  }
  return chart;
}

function emptyChart(): Chart {
  return {
    conditions: [],
    medicationRequests: [],
    medicationStatements: [],
    allergies: [],
    labs: [],
    vitals: [],
    otherObservations: [],
    procedures: [],
    immunizations: [],
    encounters: [],
    medications: new Map(),
    unreadable: [],
    incomplete: [],
  };
}

function addPart(chart: Chart, part: ChartPart, page: Bundle): void {
  const { type } = SEARCHES[part];
  const resources = (page.entry ?? []).map(({ resource }) => resource).filter((each) => each !== undefined);
  for (const resource of resources) {
    if (resource.resourceType === 'Medication') {
      chart.medications.set(`Medication/${resource.id}`, resource);
    }
  }
  const found = resources.filter((each) => each.resourceType === type);
  (chart[part] as Resource[]).push(...found.filter((each) => holds(each, part)));
  if (found.length >= MOST) {
    chart.incomplete.push(part);
  }
}

/** Whether a resource says something of the patient that holds today. */
export function holds(resource: Resource, part: ChartPart): boolean {
  const { status, clinicalStatus, verificationStatus } = resource as {
    status?: string;
    clinicalStatus?: { coding?: { code?: string }[] };
    verificationStatus?: { coding?: { code?: string }[] };
  };
  const verified = !verificationStatus?.coding?.some(({ code }) => NOT_TRUE.includes(code ?? ''));
  const active =
    (part !== 'conditions' && part !== 'allergies') ||
    !clinicalStatus?.coding?.some(({ code }) => NOT_ACTIVE.includes(code ?? ''));
  return verified && active && !VOID.includes(status ?? '');
}
