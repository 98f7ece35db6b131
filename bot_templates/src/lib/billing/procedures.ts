import type { Coding, Procedure } from '@medplum/fhirtypes';
import { parseReference } from '../ids.ts';
import { icdCodings, RECORD_CONFIDENCE } from './diagnoses.ts';
import type { EncounterRecord } from './encounter-record.ts';
import { lookUp } from './icd10cm.ts';
import { isBilateral, type Modifier, modifiersOf } from './modifiers.ts';
import { isVisitLevel } from './office-visit-levels.ts';
import { CPT, isBilledSystem, procedureCode } from './procedure-code.ts';
import type { Candidate, Findings } from './suggestion.ts';

/** A procedure's code that may be suggested. */
export interface ProcedureCandidate extends Candidate {
  /** What the record itself says is its reason: `Condition/id`, and ICD-10-CM codes. */
  reasons: string[];
  modifiers: Modifier[];
}

/** The code of a visit's level that somebody has written already: a claim, and no proof. */
export interface CodedLevel {
  code: string;
  /** `Type/id` */
  source: string;
}

export type ProcedureFindings = Omit<Findings, 'codes'> & { codes: ProcedureCandidate[]; codedLevels: CodedLevel[] };

/** The CPT and HCPCS codes of the encounter's completed procedures, and the levels that were coded. */
export function recordProcedures(record: EncounterRecord): ProcedureFindings {
  const findings: ProcedureFindings = { codes: [], refused: [], gaps: [], warnings: [], codedLevels: [] };
  for (const procedure of record.procedures) {
    addProcedure(findings, procedure);
  }
  for (const { system, code } of (record.encounter.type ?? []).flatMap(({ coding }) => coding ?? [])) {
    const found = procedureCode(system, code ?? '');
    if (found?.system === CPT && isVisitLevel(found.code)) {
      findings.codedLevels.push({ code: found.code, source: `Encounter/${record.encounter.id}` });
    }
  }
  const repeated = findings.codes.filter(
    ({ code }, index) => findings.codes.findIndex((each) => each.code === code) < index
  );
  if (repeated.length > 0) {
    addGap(
      findings,
      'PROCEDURE_REPEATED',
      'A procedure is in the record more than once: check the units',
      repeated.flatMap(referencesOf)
    );
  }
  return findings;
}

/** Statuses under which nothing was done. */
const NOT_DONE = ['entered-in-error', 'not-done', 'unknown'];

function addProcedure(findings: ProcedureFindings, procedure: Procedure): void {
  const reference = `Procedure/${procedure.id}`;
  if (NOT_DONE.includes(procedure.status)) {
    return;
  }
  if (procedure.status !== 'completed') {
    addGap(findings, 'PROCEDURE_NOT_COMPLETED', 'A procedure is not documented as completed: it is not coded', [
      reference,
    ]);
    return;
  }
  const codings = (procedure.code?.coding ?? []).filter(({ system }) => isBilledSystem(system));
  for (const coding of codings) {
    addCoding(findings, procedure, coding);
  }
  if (codings.length === 0) {
    const message = 'A procedure has no CPT or HCPCS code; other systems are not translated by guess';
    addGap(findings, 'PROCEDURE_WITHOUT_CODE', message, [reference]);
  } else if (isBilateral(procedure)) {
    addGap(findings, 'PROCEDURE_BILATERAL', 'A procedure was done on both sides: check its modifier and units', [
      reference,
    ]);
  }
}

function addCoding(findings: ProcedureFindings, procedure: Procedure, coding: Coding): void {
  const reference = `Procedure/${procedure.id}`;
  const found = procedureCode(coding.system, coding.code ?? '');
  if (found === undefined) {
    const printable = /^[A-Za-z0-9-]{1,10}$/.test(coding.code ?? '') ? (coding.code as string) : '(unprintable)';
    findings.refused.push({ code: printable, reason: 'INVALID_FORM', source: reference });
  } else if (found.system === CPT && isVisitLevel(found.code)) {
    findings.codedLevels.push({ code: found.code, source: reference });
  } else {
    findings.codes.push({
      system: found.system,
      code: found.code,
      confidence: RECORD_CONFIDENCE,
      source: 'record',
      evidence: [{ reference }],
      reasons: reasonsOf(procedure),
      modifiers: modifiersOf(procedure, found),
    });
  }
}

function reasonsOf(procedure: Procedure): string[] {
  const conditions = (procedure.reasonReference ?? []).map(({ reference }) => parseReference(reference));
  const codes = (procedure.reasonCode ?? []).flatMap(icdCodings).map(({ code }) => lookUp(code));
  return [
    ...conditions.filter((each) => each?.resourceType === 'Condition').map((each) => `Condition/${each?.id}`),
    ...codes.filter((each) => each.kind === 'leaf').map(({ code }) => code),
  ];
}

function referencesOf({ evidence }: Candidate): string[] {
  return evidence.map(({ reference }) => reference);
}

function addGap(findings: Pick<Findings, 'gaps'>, code: string, message: string, references: string[]): void {
  findings.gaps.push({ code, message, references });
}
