import type { AuditRecord } from '../audit.ts';
import type { WorkOutput } from '../run.ts';
import type { Assembled } from './assemble.ts';
import type { Submitted } from './command.ts';
import type { EncounterRecord } from './encounter-record.ts';
import { ICD10CM_RELEASE } from './icd10cm.ts';
import { CPT } from './procedure-code.ts';
import { type Findings, mergedGaps } from './suggestion.ts';

/** Everything that is told, but for what became of it. */
export interface Suggested extends Omit<Findings, 'codes'> {
  suggestion: Assembled;
  /** As the router names it; undefined where no model answered. */
  model: string | undefined;
}

/** The bot's answer. */
export function output(
  suggested: Suggested,
  submitted: Submitted | undefined,
  warnings: readonly string[]
): WorkOutput {
  const { suggestion, refused, gaps } = suggested;
  const { diagnoses, procedures, modifiers, excludes1Alerts } = suggestion;
  return {
    icd10Codes: diagnoses,
    cptCodes: procedures.filter(({ system }) => system === CPT),
    hcpcsCodes: procedures.filter(({ system }) => system !== CPT),
    modifiers,
    refusedCodes: refused,
    documentationGaps: mergedGaps(gaps),
    excludes1Alerts,
    // Every ICD-10-CM code here is a leaf of the table; of the others a server may know more than the form.
    codesValidated: procedures.every(({ verified }) => verified),
    icd10Release: ICD10CM_RELEASE,
    ...(submitted === undefined ? {} : { command: submitted.command }),
    ...(submitted?.taskId === undefined ? {} : { taskId: submitted.taskId }),
    warnings: [...new Set([...suggested.warnings, ...warnings])],
  };
}

/** The event of the audit trail: counts, no code and no word of the record. */
export function suggestionAudit({ encounter, patientId }: EncounterRecord, suggested: Suggested): AuditRecord {
  const { diagnoses, procedures, excludes1Alerts } = suggested.suggestion;
  return {
    type: 'billing_suggestion',
    action: 'E',
    outcome: '0',
    patientId,
    encounterId: encounter.id,
    detail: {
      'icd10-codes': diagnoses.length,
      'icd10-codes-from-notes': diagnoses.filter(({ source }) => source === 'note').length,
      'cpt-codes': procedures.filter(({ system }) => system === CPT).length,
      'hcpcs-codes': procedures.filter(({ system }) => system !== CPT).length,
      'refused-codes': suggested.refused.length,
      'documentation-gaps': suggested.gaps.length,
      'excludes1-alerts': excludes1Alerts.length,
    },
  };
}
