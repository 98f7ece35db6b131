import type { Condition, DocumentReference, Encounter, Procedure, Resource } from '@medplum/fhirtypes';
import { searchAll } from '../chart/search-all.ts';
import { BotFailure } from '../failure.ts';
import { parseReference, referencedId } from '../ids.ts';
import type { BotRun } from '../run.ts';

/** What the record has on one encounter; every resource is of the encounter's own patient. */
export interface EncounterRecord {
  encounter: Encounter & { id: string };
  patientId: string;
  /** Made in the encounter, or named by it or by one of its procedures, in the order of `Encounter.diagnosis`. */
  conditions: Condition[];
  procedures: Procedure[];
  documents: DocumentReference[];
  /** Active problems that the encounter does not name. */
  otherProblems: Condition[];
  /** Finished encounters of the three years before. */
  earlierEncounters: Encounter[];
  /** What was left out, as warnings. */
  warnings: string[];
}

/** Resources of one search. */
const MOST = 100;
const ACTIVE_PROBLEMS = 'category=problem-list-item&clinical-status=active,recurrence,relapse';
/** Years after which a patient counts as new again. */
const YEARS = 3;

/**
 * Reads what belongs to an encounter, with the rights of the run.
 *
 * What is another patient's is left out, whatever refers to it: `FOREIGN_RECORD`.
 * @throws BotFailure DB_ERROR, UNAUTHORIZED or TIMEOUT
 */
export async function readEncounterRecord(
  run: BotRun,
  encounter: Encounter & { id: string },
  patientId: string
): Promise<EncounterRecord> {
  const of = `encounter=Encounter/${encounter.id}&_count=${MOST}`;
  const [conditions = [], procedures = [], documents = [], problems = [], earlier = []] = await resourcesOf(run, [
    `Condition?${of}`,
    `Procedure?${of}`,
    `DocumentReference?${of}&_sort=date`,
    `Condition?subject=Patient/${patientId}&${ACTIVE_PROBLEMS}&_count=${MOST}`,
    ...earlierSearch(encounter, patientId),
  ]);
  const warnings = new Set<string>();
  if ([conditions, procedures, documents].some((found) => found.length >= MOST)) {
    warnings.add('RECORD_INCOMPLETE');
  }
  const own = <T extends Resource>(found: readonly Resource[]): T[] => {
    const kept = found.filter((each) => subjectOf(each) === patientId);
    if (kept.length < found.length) {
      warnings.add('FOREIGN_RECORD');
    }
    return kept as T[];
  };
  const named = await readNamed(run, encounter, [...conditions, ...procedures]);
  const ownProcedures = own<Procedure>([...procedures, ...named.filter(isProcedureOf(encounter))]);
  const ownConditions = own<Condition>([
    ...conditions,
    ...named.filter(({ resourceType }) => resourceType === 'Condition'),
  ]);
  const known = new Set(ownConditions.map(({ id }) => id));
  return {
    encounter,
    patientId,
    conditions: inOrderOf(encounter, ownConditions),
    procedures: ownProcedures,
    documents: own<DocumentReference>(documents),
    otherProblems: own<Condition>(problems).filter(({ id }) => !known.has(id)),
    earlierEncounters: own<Encounter>(earlier).filter(({ id }) => id !== encounter.id),
    warnings: [...warnings],
  };
}

/** Reads what encounter and procedures refer to and no search has found. */
async function readNamed(run: BotRun, encounter: Encounter, found: readonly Resource[]): Promise<Resource[]> {
  const reasons = found.flatMap((each) => (each.resourceType === 'Procedure' ? (each.reasonReference ?? []) : []));
  const references = [
    ...(encounter.diagnosis ?? []).map(({ condition }) => condition),
    ...(encounter.reasonReference ?? []),
    ...reasons,
  ].map((each) => each?.reference);
  const known = new Set(found.map(({ resourceType, id }) => `${resourceType}/${id}`));
  const searches = (['Condition', 'Procedure'] as const).flatMap((type) => {
    const ids = references.map((each) => referencedId(each, type)).filter((id) => id !== undefined);
    const unknown = [...new Set(ids)].filter((id) => !known.has(`${type}/${id}`)).slice(0, MOST);
    return unknown.length > 0 ? [`${type}?_id=${unknown.join(',')}&_count=${unknown.length}`] : [];
  });
  return searches.length > 0 ? (await resourcesOf(run, searches)).flat() : [];
}

/** A Procedure that `Encounter.diagnosis` names belongs to it, unless it says that it belongs to another. */
function isProcedureOf(encounter: Encounter): (resource: Resource) => boolean {
  return (resource) =>
    resource.resourceType === 'Procedure' &&
    (resource.encounter === undefined || referencedId(resource.encounter.reference, 'Encounter') === encounter.id);
}

/** The resources of each search; from half a record the codes would be wrong. */
async function resourcesOf(run: BotRun, searches: readonly string[]): Promise<Resource[][]> {
  const pages = await searchAll(run, "Reading the encounter's record", searches, 'DB_ERROR');
  return pages.map((page, index) => {
    if (page === 'unreadable') {
      throw new BotFailure('UNAUTHORIZED', `Searching ${searches[index]?.split('?')[0]}: not permitted`);
    }
    return (page.entry ?? []).map(({ resource }) => resource).filter((resource) => resource !== undefined);
  });
}

/** None where the encounter does not say when it was. */
function earlierSearch(encounter: Encounter, patientId: string): string[] {
  const start = new Date(encounter.period?.start ?? '');
  if (Number.isNaN(start.getTime())) {
    return [];
  }
  const since = new Date(start);
  since.setUTCFullYear(since.getUTCFullYear() - YEARS);
  const dates = `date=ge${since.toISOString()}&date=lt${start.toISOString()}`;
  return [`Encounter?subject=Patient/${patientId}&status=finished&${dates}&_count=${MOST}`];
}

function subjectOf(resource: Resource): string | undefined {
  const { subject } = resource as { subject?: { reference?: string } };
  return referencedId(subject?.reference, 'Patient');
}

/** Those that the encounter ranks come first, in the order of its ranks and then of its list. */
function inOrderOf(encounter: Encounter, conditions: readonly Condition[]): Condition[] {
  const ranked = [...(encounter.diagnosis ?? [])]
    .map((diagnosis, index) => ({
      id: parseReference(diagnosis.condition?.reference)?.id,
      rank: diagnosis.rank,
      index,
    }))
    .sort((one, other) => (one.rank ?? Infinity) - (other.rank ?? Infinity) || one.index - other.index)
    .map(({ id }) => id);
  const place = ({ id }: Condition): number => (ranked.includes(id) ? ranked.indexOf(id) : ranked.length);
  const unique = [...new Map(conditions.map((condition) => [condition.id, condition])).values()];
  return unique.sort((one, other) => place(one) - place(other));
}
