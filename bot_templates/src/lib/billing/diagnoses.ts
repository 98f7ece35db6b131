import type { CodeableConcept, Coding, Condition, Encounter } from '@medplum/fhirtypes';
import { isUncertain } from './assertion.ts';
import type { EncounterRecord } from './encounter-record.ts';
import { ICD10CM, ICD10CM_SYSTEMS, lookUp, plainCode } from './icd10cm.ts';
import type { Findings, RefusalReason } from './suggestion.ts';

/** A coding in the record was put there by a person or their system, and is not certain all the same. */
export const RECORD_CONFIDENCE = 0.9;

/** Classes of v3-ActCode to which the rules for inpatients apply; every other, and none, is an outpatient's. */
const INPATIENT = ['IMP', 'ACUTE', 'NONAC'];

/** Whether the stricter rules for outpatients hold: nothing provisional is coded. */
export function isOutpatient(encounter: Encounter): boolean {
  return !INPATIENT.includes(encounter.class?.code ?? '');
}

/** The ICD-10-CM codes that the encounter's conditions and the reasons of its procedures have. */
export function recordDiagnoses(record: EncounterRecord): Findings {
  const findings: Findings = { codes: [], refused: [], gaps: [], warnings: [] };
  for (const condition of record.conditions) {
    addCondition(findings, condition, record.encounter);
  }
  for (const procedure of record.procedures.filter(({ status }) => status === 'completed')) {
    for (const reason of procedure.reasonCode ?? []) {
      addCodings(findings, reason, `Procedure/${procedure.id}`, isDoubtful(reason));
    }
  }
  const unnamed = record.otherProblems.filter(({ code }) => icdCodings(code).length > 0);
  if (unnamed.length > 0) {
    findings.gaps.push({
      code: 'PROBLEM_NOT_LINKED',
      message: 'Active problems are not linked to the encounter: if they were addressed, link them',
      references: unnamed.map(({ id }) => `Condition/${id}`),
    });
  }
  return findings;
}

/** The status under which a condition says nothing. */
const ERROR = 'entered-in-error';
const REFUTED = 'refuted';
const PROVISIONAL = ['provisional', 'unconfirmed', 'differential'];
const OVER = ['inactive', 'remission', 'resolved'];

function addCondition(findings: Findings, condition: Condition, encounter: Encounter): void {
  const reference = `Condition/${condition.id}`;
  const verification = codesOf(condition.verificationStatus);
  if (verification.includes(ERROR)) {
    return;
  }
  // What was found not to be so is not coded from a note either.
  if (verification.includes(REFUTED)) {
    refuseAll(findings, condition, 'REFUTED');
    return;
  }
  // Outpatients: nothing provisional. Inpatients: what is uncertain at discharge is a coder's decision, not ours.
  if (verification.some((code) => PROVISIONAL.includes(code)) || isDoubtful(condition.code)) {
    refuseAll(findings, condition, 'PROVISIONAL');
    findings.gaps.push({
      code: 'DIAGNOSIS_PROVISIONAL',
      message: isOutpatient(encounter)
        ? 'A diagnosis is provisional: confirm it, or code the signs and symptoms instead'
        : 'A diagnosis is provisional: confirm it, or have a coder apply the rules for what is uncertain at discharge',
      references: [reference],
    });
    return;
  }
  // What was over before the visit was not treated in it.
  if (codesOf(condition.clinicalStatus).some((code) => OVER.includes(code)) && !endedAfterStart(condition, encounter)) {
    refuseAll(findings, condition, 'NOT_ACTIVE');
    return;
  }
  addCodings(findings, condition.code, reference, false);
  if (icdCodings(condition.code).length === 0) {
    findings.gaps.push({
      code: 'DIAGNOSIS_WITHOUT_ICD10CM',
      message: 'A diagnosis has no ICD-10-CM code; other systems are not translated by guess',
      references: [reference],
    });
  }
}

function addCodings(
  findings: Findings,
  concept: CodeableConcept | undefined,
  reference: string,
  uncertain: boolean
): void {
  for (const { code } of icdCodings(concept)) {
    const found = lookUp(code);
    if (found.kind === 'leaf' && uncertain) {
      findings.refused.push({ code: found.code, reason: 'PROVISIONAL', source: reference });
    } else if (found.kind === 'leaf') {
      findings.codes.push({
        system: ICD10CM,
        code: found.code,
        display: found.description,
        confidence: RECORD_CONFIDENCE,
        source: 'record',
        evidence: [{ reference }],
      });
    } else {
      refuse(findings, code, found.kind === 'category' ? 'NOT_SPECIFIC' : 'UNKNOWN_CODE', reference);
    }
  }
}

const GAPS: Partial<Record<RefusalReason, { code: string; message: string }>> = {
  NOT_SPECIFIC: {
    code: 'DIAGNOSIS_NOT_SPECIFIC',
    message: 'A diagnosis has the code of a category: document what a code below it needs',
  },
  UNKNOWN_CODE: { code: 'DIAGNOSIS_CODE_UNKNOWN', message: 'A diagnosis has a code that ICD-10-CM does not have' },
};

function refuse(findings: Findings, written: string, reason: RefusalReason, source: string): void {
  findings.refused.push({ code: printable(written), reason, source });
  const gap = GAPS[reason];
  if (gap) {
    findings.gaps.push({ ...gap, references: [source] });
  }
}

function refuseAll(findings: Findings, condition: Condition, reason: RefusalReason): void {
  for (const { code } of icdCodings(condition.code)) {
    refuse(findings, code, reason, `Condition/${condition.id}`);
  }
}

/** A code as the table writes it; what has not the form of one is not repeated, for it may be any text. */
function printable(written: string): string {
  const code = plainCode(written);
  return code === undefined ? '(unprintable)' : `${code.slice(0, 3)}${code.length > 3 ? '.' : ''}${code.slice(3)}`;
}

/** The ICD-10-CM codings of a concept. */
export function icdCodings(concept: CodeableConcept | undefined): (Coding & { code: string })[] {
  return (concept?.coding ?? []).filter(
    (coding): coding is Coding & { code: string } =>
      ICD10CM_SYSTEMS.includes(coding.system ?? '') && typeof coding.code === 'string'
  );
}

function codesOf(concept: CodeableConcept | undefined): string[] {
  return (concept?.coding ?? []).map(({ code }) => code ?? '');
}

/** Whether the words of a concept make a guess of it, unless its codes mean one, such as suspected exposure. */
function isDoubtful(concept: CodeableConcept | undefined): boolean {
  const meanings = icdCodings(concept).map(({ code }) => {
    const found = lookUp(code);
    return found.kind === 'unknown' ? '' : found.description;
  });
  return isUncertain(concept?.text ?? '', meanings.join(' '));
}

/** Whether a condition that is over now was not yet over when the encounter began. */
function endedAfterStart(condition: Condition, encounter: Encounter): boolean {
  const ended = condition.abatementDateTime ?? condition.abatementPeriod?.end;
  const start = encounter.period?.start;
  return ended !== undefined && start !== undefined && ended.slice(0, 10) >= start.slice(0, 10);
}
