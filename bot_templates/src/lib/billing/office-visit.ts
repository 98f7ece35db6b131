import type { Encounter } from '@medplum/fhirtypes';
import { referencedId } from '../ids.ts';
import type { EncounterRecord } from './encounter-record.ts';
import type { Note } from './notes.ts';
import {
  codeOfLevel,
  levelByDecisions,
  levelByMinutes,
  OFFICE_VISITS,
  type PatientStatus,
  visitOf,
} from './office-visit-levels.ts';
import { CPT } from './procedure-code.ts';
import type { CodedLevel, ProcedureCandidate } from './procedures.ts';
import type { Evidence, Findings } from './suggestion.ts';
import { type VisitStatements, visitStatements } from './visit-statements.ts';

/** Minutes and decision making are read from words, by rules. */
export const VISIT_CONFIDENCE = 0.8;

export type VisitFindings = Omit<Findings, 'codes'> & { codes: ProcedureCandidate[] };

type Statement = VisitStatements & { reference: string };

/** A level, and what says so. */
interface Reading {
  level: number;
  evidence: Evidence[];
}

/**
 * The code of an office visit, where the record documents its level.
 *
 * A level comes only from stated minutes or stated medical decision making. Where several are stated, or somebody has
 * coded a level already, the lowest holds. Whether the patient is new must be known, and without contradiction.
 */
export function officeVisit(
  record: EncounterRecord,
  notes: readonly Note[],
  coded: readonly CodedLevel[]
): VisitFindings {
  const { encounter } = record;
  const statements = notes.map(({ reference, text }) => ({ reference, ...visitStatements(text) }));
  const gaps: Findings['gaps'] = [];
  const gap = (code: string, message: string): void =>
    void gaps.push({ code, message, references: [`Encounter/${encounter.id}`] });
  const withoutCode = (): VisitFindings => ({ codes: [], gaps, warnings: [], refused: coded.map(unproven) });

  // The rules here are those of office visits; hospital, emergency and home visits have their own.
  if (encounter.class?.code !== 'AMB') {
    gap('VISIT_NOT_IN_OFFICE', 'The level of this class of encounter has rules of its own: a coder determines it');
    return withoutCode();
  }
  const statuses = patientStatuses(record, statements, coded);
  const [status] = statuses;
  // Minutes mean other levels for new patients, and neither choice is always the lower one.
  if (status === undefined || statuses.length > 1) {
    gap('PATIENT_STATUS_UNKNOWN', 'Whether the patient is new or established is not documented, or contradictory');
    return withoutCode();
  }
  if (statements.some(({ unclearTime }) => unclearTime)) {
    gap('TIME_UNCLEAR', "The visit's time is not stated as one exact number of minutes of the clinician's own");
  }
  const documented = [...timeReadings(encounter, statements, status), ...decisionReadings(statements)];
  // A code alone is a claim, no documentation.
  if (documented.length === 0) {
    gap(
      'LEVEL_NOT_DOCUMENTED',
      'Neither total minutes nor medical decision making is documented: no level is suggested'
    );
    return withoutCode();
  }
  const lowest = lowestOf([...documented, ...codedReadings(coded, status)]);
  if (lowest.level === 0) {
    gap('TIME_TOO_SHORT', 'The documented minutes reach no level of an office visit');
    return withoutCode();
  }
  if (
    Math.max(0, ...minutesOf(encounter, statements).map(({ minutes }) => minutes)) >= OFFICE_VISITS.prolonged[status]
  ) {
    gap('PROLONGED_VISIT', 'The documented time is beyond the highest level: a coder checks for prolonged services');
  }
  const code = codeOfLevel(lowest.level, status);
  return {
    codes: [candidate(code, lowest.evidence, reasonsOf(record, notes))],
    gaps,
    refused: coded.filter((each) => each.code !== code).map(unproven),
    warnings: new Set(documented.map(({ level }) => level)).size > 1 ? ['VISIT_LEVELS_DIFFER'] : [],
  };
}

function candidate(code: string, evidence: Evidence[], reasons: string[]): ProcedureCandidate {
  return { system: CPT, code, confidence: VISIT_CONFIDENCE, source: 'record', evidence, reasons, modifiers: [] };
}

/** A visit is for all that was diagnosed in it. */
function reasonsOf(record: EncounterRecord, notes: readonly Note[]): string[] {
  return [...record.conditions.map(({ id }) => `Condition/${id}`), ...notes.map(({ reference }) => reference)];
}

function unproven({ code, source }: CodedLevel): Findings['refused'][0] {
  return { code, reason: 'LEVEL_NOT_DOCUMENTED', source };
}

/**
 * What earlier visits and notes say of whether the patient is new; more than one is a contradiction. A code that
 * somebody wrote can contradict them, and proves nothing alone.
 */
function patientStatuses(
  record: EncounterRecord,
  statements: readonly Statement[],
  coded: readonly CodedLevel[]
): PatientStatus[] {
  const practitioners = practitionersOf(record.encounter);
  const seenBefore = record.earlierEncounters.some((earlier) =>
    practitionersOf(earlier).some((each) => practitioners.includes(each))
  );
  const documented = [
    ...(seenBefore ? ['established' as const] : []),
    ...statements.flatMap(({ statuses }) => statuses),
  ];
  const claimed = coded.map(({ code }) => visitOf(code)?.status).filter((each) => each !== undefined);
  return documented.length === 0 ? [] : [...new Set([...documented, ...claimed])];
}

function practitionersOf({ participant }: Encounter): string[] {
  return (participant ?? [])
    .map(({ individual }) => referencedId(individual?.reference, 'Practitioner'))
    .filter((id) => id !== undefined);
}

function timeReadings(encounter: Encounter, statements: readonly Statement[], status: PatientStatus): Reading[] {
  return minutesOf(encounter, statements).map(({ minutes, reference }) => ({
    level: levelByMinutes(minutes, status),
    evidence: [{ reference }],
  }));
}

function decisionReadings(statements: readonly Statement[]): Reading[] {
  return statements.flatMap(({ decisions, reference }) =>
    decisions.map((each) => ({ level: levelByDecisions(each), evidence: [{ reference }] }))
  );
}

function codedReadings(coded: readonly CodedLevel[], status: PatientStatus): Reading[] {
  return coded.flatMap(({ code, source }) => {
    const visit = visitOf(code);
    return visit?.status === status ? [{ level: visit.level, evidence: [{ reference: source }] }] : [];
  });
}

/** The lowest level, and all that says it. */
function lowestOf(readings: readonly Reading[]): Reading {
  const level = Math.min(...readings.map((each) => each.level));
  const evidence = readings.filter((each) => each.level === level).flatMap((each) => each.evidence);
  return { level, evidence: [...new Map(evidence.map((each) => [each.reference, each])).values()] };
}

/** `Encounter.length`, and the minutes that notes state. */
function minutesOf(encounter: Encounter, statements: readonly Statement[]): { minutes: number; reference: string }[] {
  const length = lengthInMinutes(encounter);
  return [
    ...(length === undefined ? [] : [{ minutes: length, reference: `Encounter/${encounter.id}` }]),
    ...statements.flatMap(({ minutes, reference }) => minutes.map((each) => ({ minutes: each, reference }))),
  ];
}

const MINUTES_IN: Readonly<Record<string, number>> = {
  min: 1,
  minute: 1,
  minutes: 1,
  h: 60,
  hr: 60,
  hour: 60,
  hours: 60,
};

function lengthInMinutes({ length }: Encounter): number | undefined {
  const factor = MINUTES_IN[length?.code ?? length?.unit?.toLowerCase() ?? ''];
  const exact = length?.comparator === undefined;
  return factor !== undefined && exact && length?.value !== undefined && length.value > 0
    ? length.value * factor
    : undefined;
}
