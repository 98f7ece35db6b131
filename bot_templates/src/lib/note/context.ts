import type { Encounter, Patient } from '@medplum/fhirtypes';
import { type Charted, factOf } from '../chart/fact.ts';
import { chunkRecord } from '../chunking.ts';
import type { Sources } from '../model/sources.ts';
import { ageInYears } from '../patient.ts';
import { conceptWords, labelled, listed, periodText } from '../record/datatypes.ts';
import { recordText } from '../record/record-text.ts';
import { ServerSources } from '../record-sources.ts';
import type { BotRun } from '../run.ts';
import type { NoteRecord } from './record.ts';
import type { DraftRequest } from './request.ts';
import { selectObservations } from './select-observations.ts';

/** As what the clinician's own words are cited. */
export const CLINICIAN = 'clinician';

/** Passages of one document. */
const MOST_PASSAGES = 15;
/** Resources of one kind that a model is shown. */
const MOST_FACTS = 40;

/**
 * Adds what a model may cite, the most important first, for what no longer fits is left out: the clinician's words,
 * the encounter, its documents and reports, then the patient's current record.
 */
export async function addContext(
  run: BotRun,
  sources: Sources,
  request: DraftRequest,
  record: NoteRecord
): Promise<void> {
  addClinician(sources, request);
  if (record.encounter.type || record.encounter.reasonCode) {
    sources.add(encounterPassage(record.encounter));
  }
  for (const passage of await documentPassages(run, record)) {
    sources.add(passage);
  }
  for (const resource of charted(record)) {
    sources.add(factOf(resource, record.chart.medications));
  }
  // Alone, age and gender give nothing to write about.
  if (sources.all.length > 0) {
    sources.add(patientPassage(record.patient, record.encounter));
  }
}

function addClinician(sources: Sources, { clinician, referral }: DraftRequest): void {
  for (const [section, text] of Object.entries(clinician)) {
    // In passages, for a source is taken whole or not at all.
    for (const passage of passagesOf(text ?? '')) {
      sources.add({ reference: CLINICIAN, date: undefined, title: clinicianTitle(section), text: passage });
    }
  }
  if (referral) {
    const text = labelled([
      ['Referral to', referral.specialty],
      ['Urgency', referral.urgency],
      ['Reason', referral.reason],
    ]);
    sources.add({ reference: CLINICIAN, date: undefined, title: clinicianTitle('referral'), text });
  }
}

/** The title of the clinician's own words for a section. */
export function clinicianTitle(section: string): string {
  return `the clinician's words, ${section}`;
}

function passagesOf(text: string): string[] {
  const sections = [{ title: 'Words', contentType: 'note' as const, text }];
  return chunkRecord('Clinician', { date: undefined, sections, skipped: [] }).chunks.map((chunk) => bodyOf(chunk.text));
}

/** A chunk without its header, which repeats what the source's own says. */
function bodyOf(chunk: string): string {
  return chunk.slice(chunk.indexOf('\n') + 1);
}

function encounterPassage(encounter: Encounter): Parameters<Sources['add']>[0] {
  return {
    reference: `Encounter/${encounter.id}`,
    date: encounter.period?.start?.slice(0, 10),
    title: conceptWords(encounter.type) ?? 'Encounter',
    text: encounterText(encounter),
  };
}

/** Kind, time and reason of an encounter, without the people in it. */
export function encounterText(encounter: Encounter): string {
  return labelled([
    ['Encounter', listed([conceptWords(encounter.type), encounter.class.display ?? encounter.class.code])],
    ['Time', periodText(encounter.period)],
    ['Reason', conceptWords(encounter.reasonCode)],
  ]);
}

/** Age at the encounter and administrative gender: nothing by which a person is known. */
function patientPassage(patient: Patient, encounter: Encounter): Parameters<Sources['add']>[0] {
  const start = encounter.period?.start;
  const age = start === undefined ? undefined : ageInYears(patient, new Date(start));
  return {
    reference: `Patient/${patient.id}`,
    date: start?.slice(0, 10),
    title: 'Patient',
    text: labelled([
      ['Age', age === undefined ? undefined : `${age} years`],
      ['Gender', genderWords(patient.gender, age)],
    ]),
  };
}

const WORDS_OF_GENDER = { female: ['woman', 'girl'], male: ['man', 'boy'], other: [], unknown: [] } as const;

/** With the word that a sentence would use, for its words must be in its sources. */
function genderWords(gender: Patient['gender'], age: number | undefined): string | undefined {
  const [adult, child] = WORDS_OF_GENDER[gender ?? 'unknown'];
  return listed([gender, age !== undefined && age < 18 ? child : adult]);
}

async function documentPassages(run: BotRun, record: NoteRecord): Promise<Parameters<Sources['add']>[0][]> {
  const server = new ServerSources(run.medplum);
  const documents = await Promise.all(
    [...record.documents, ...record.reports].map(async (document) => {
      const text = await recordText(document, server);
      return chunkRecord(document.resourceType, text)
        .chunks.slice(0, MOST_PASSAGES)
        .map((chunk) => ({
          reference: `${document.resourceType}/${document.id}`,
          date: text.date,
          title: chunk.section,
          text: bodyOf(chunk.text),
        }));
    })
  );
  return documents.flat();
}

/** What the objective section shows, and the problems and procedures. */
function charted(record: NoteRecord): Charted[] {
  const { chart, encounter } = record;
  const reference = `Encounter/${encounter.id}`;
  return [
    chart.conditions,
    chart.allergies,
    chart.medicationRequests,
    chart.medicationStatements,
    record.procedures,
    selectObservations(record.encounterVitals, chart.vitals, reference).chosen,
    selectObservations(record.encounterLabs, chart.labs, reference).chosen,
    selectObservations(record.encounterOthers, chart.otherObservations, reference).chosen,
  ].flatMap((resources: Charted[]) => resources.slice(0, MOST_FACTS));
}
