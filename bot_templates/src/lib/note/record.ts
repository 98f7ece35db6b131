import type {
  DiagnosticReport,
  DocumentReference,
  Encounter,
  Observation,
  Patient,
  Procedure,
  Resource,
} from '@medplum/fhirtypes';
import { type Chart, type ChartPart, holds, readChart } from '../chart/chart.ts';
import { searchAll } from '../chart/search-all.ts';
import { BotFailure } from '../failure.ts';
import { readCurrent } from '../fhir.ts';
import { referencedId } from '../ids.ts';
import { readPatient } from '../patient.ts';
import { reasonToWithhold } from '../record/record-text.ts';
import { type Sight, sightOf } from '../requester.ts';
import type { BotRun } from '../run.ts';
import type { DraftRequest } from './request.ts';

/** What a document is written from, as far as the user may read it. */
export interface NoteRecord {
  patient: Patient;
  encounter: Encounter;
  chart: Chart;
  /** Of this encounter, newest first. */
  encounterLabs: Observation[];
  encounterVitals: Observation[];
  /** Of another category or none, as results without one are. */
  encounterOthers: Observation[];
  documents: DocumentReference[];
  reports: DiagnosticReport[];
  procedures: Procedure[];
  /** Types that the user may not read at all. */
  unreadable: Set<string>;
  /** Of these the server has more than were read. */
  incomplete: Set<string>;
  sight: Sight;
}

/** Observations of the encounter in one category, and its documents, reports and procedures. */
const MOST_OBSERVATIONS = 200;
const MOST_DOCUMENTS = 10;

/**
 * Reads the encounter, the patient's current record and what belongs to the encounter, with the rights of the user.
 *
 * Parts that were not asked for are not read, so that nothing of them can reach the document.
 * @throws BotFailure PATIENT_NOT_FOUND, INVALID_INPUT for an encounter that is not the patient's, UNAUTHORIZED,
 * DB_ERROR, TIMEOUT
 */
export async function readNoteRecord(run: BotRun, request: DraftRequest): Promise<NoteRecord> {
  const { patientId, encounterId, include } = request;
  const patient = await readPatient(run, patientId, 'DB_ERROR');
  const encounter = await readEncounter(run, encounterId, patientId);
  const parts: ChartPart[] = [
    'conditions',
    ...(include.medications ? (['medicationRequests', 'medicationStatements'] as const) : []),
    ...(include.allergies ? (['allergies'] as const) : []),
    ...(include.labs ? (['labs', 'otherObservations'] as const) : []),
    ...(include.vitals ? (['vitals'] as const) : []),
  ];
  const [chart, own, sight] = await Promise.all([
    readChart(run, patientId, parts, 'DB_ERROR'),
    readEncounterParts(run, request),
    sightOf(run.medplum),
  ]);
  return {
    patient,
    encounter,
    chart,
    ...own,
    unreadable: new Set([...chart.unreadable, ...own.unreadable]),
    incomplete: new Set([...chart.incomplete, ...own.incomplete]),
    sight,
  };
}

/** The same words whether the encounter is another patient's, unreadable or unknown: which of these, is not told. */
async function readEncounter(run: BotRun, encounterId: string, patientId: string): Promise<Encounter> {
  const { found } = await readCurrent<Encounter>(run.medplum, 'Encounter', encounterId, 'DB_ERROR');
  if (referencedId(found?.subject?.reference, 'Patient') !== patientId || found?.status === 'entered-in-error') {
    throw new BotFailure('INVALID_INPUT', 'encounterId must be an encounter of this patient, not entered in error', {
      field: 'encounterId',
    });
  }
  return found as Encounter;
}

type EncounterParts = Pick<
  NoteRecord,
  'encounterLabs' | 'encounterVitals' | 'encounterOthers' | 'documents' | 'reports' | 'procedures' | 'unreadable' | 'incomplete'
>;

async function readEncounterParts(run: BotRun, request: DraftRequest): Promise<EncounterParts> {
  const { patientId, encounterId, include } = request;
  const of = `subject=Patient/${patientId}&encounter=Encounter/${encounterId}`;
  const searches = [
    { part: 'documents', wanted: true, type: 'DocumentReference', only: '&status=current', most: MOST_DOCUMENTS },
    // Reports are results: without these, their conclusions stay out too.
    { part: 'reports', wanted: include.labs, type: 'DiagnosticReport', only: '', most: MOST_DOCUMENTS },
    { part: 'procedures', wanted: true, type: 'Procedure', only: '', most: MOST_DOCUMENTS },
    ...(
      [
        { part: 'encounterLabs', wanted: include.labs, only: '&category=laboratory' },
        { part: 'encounterVitals', wanted: include.vitals, only: '&category=vital-signs' },
        { part: 'encounterOthers', wanted: include.labs, only: '&category:not=laboratory,vital-signs' },
      ] as const
    ).map((search) => ({ ...search, type: 'Observation' as const, most: MOST_OBSERVATIONS })),
  ] as const;
  const asked = searches.filter(({ wanted }) => wanted);
  const urls = asked.map(({ type, only, most }) => `${type}?${of}${only}&_sort=-date&_count=${most}`);
  const pages = await searchAll(run, "Reading the encounter's record", urls, 'DB_ERROR');
  const found: EncounterParts = {
    encounterLabs: [],
    encounterVitals: [],
    encounterOthers: [],
    documents: [],
    reports: [],
    procedures: [],
    unreadable: new Set(),
    incomplete: new Set(),
  };
  for (const [index, { part, type, most }] of asked.entries()) {
    const page = pages[index];
    if (page === 'unreadable' || page === undefined) {
      found.unreadable.add(type);
      continue;
    }
    const resources = (page.entry ?? []).map(({ resource }) => resource).filter((each) => each !== undefined);
    (found[part] as Resource[]).push(...resources.filter(maySpeak));
    if (resources.length >= most) {
      found.incomplete.add(part);
    }
  }
  return found;
}

/** Whether a resource holds, and is no model's draft that nobody has reviewed. */
function maySpeak(resource: Resource): boolean {
  if (resource.resourceType === 'DocumentReference' || resource.resourceType === 'DiagnosticReport') {
    return reasonToWithhold(resource) === undefined;
  }
  return holds(resource, resource.resourceType === 'Procedure' ? 'procedures' : 'labs');
}
