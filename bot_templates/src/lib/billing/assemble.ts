import type { EncounterRecord } from './encounter-record.ts';
import { type Excludes1Alert, excludes1Among } from './excludes1.ts';
import { plainCode } from './icd10cm.ts';
import type { Modifier } from './modifiers.ts';
import type { ProcedureCandidate } from './procedures.ts';
import {
  type Candidate,
  type Evidence,
  type Findings,
  merged,
  type RefusalReason,
  type Refused,
} from './suggestion.ts';

/** A diagnosis as it is suggested. */
export interface DiagnosisCode extends Candidate {
  isPrimary: boolean;
}

/** A procedure as it is suggested. */
export interface BilledProcedure {
  system: string;
  code: string;
  confidence: number;
  source: Candidate['source'];
  evidence: Evidence[];
  /** False: only its form was checked. */
  verified: boolean;
  /** The suggested ICD-10-CM codes that support it. */
  diagnoses: string[];
  /** No diagnosis is linked to it. */
  medicalNecessityWarning?: string;
}

export interface Assembled {
  diagnoses: DiagnosisCode[];
  procedures: BilledProcedure[];
  modifiers: Modifier[];
  excludes1Alerts: Excludes1Alert[];
  warnings: string[];
}

/** Reasons by which the record says that a diagnosis is not to be coded. */
const DENIED: readonly RefusalReason[] = ['PROVISIONAL', 'REFUTED', 'NOT_ACTIVE'];

/**
 * Leaves out the codes of notes whose category the record has coded itself, or calls provisional, refuted or over: of
 * two readings the record's holds, and a model cannot add a complication to a diagnosis that somebody coded without one.
 */
export function withoutOverruled(
  { codes, refused }: Pick<Findings, 'codes' | 'refused'>,
  fromNotes: readonly Candidate[]
): { kept: Candidate[]; refused: Refused[] } {
  const recorded = new Set(codes.map(({ code }) => code));
  const denied = refused.filter(({ reason }) => DENIED.includes(reason));
  const categories = new Set([...codes, ...denied].map(({ code }) => code.slice(0, 3)));
  const overruled = (each: Candidate): boolean => !recorded.has(each.code) && categories.has(each.code.slice(0, 3));
  return {
    kept: fromNotes.filter((each) => !overruled(each)),
    refused: fromNotes.filter(overruled).map(({ code, evidence }) => ({
      code,
      reason: 'RECORD_SAYS_OTHERWISE',
      source: evidence[0]?.reference ?? '',
    })),
  };
}

/**
 * The suggestion as a whole.
 * @param fromRecord - In the encounter's own order.
 * @param minConfidence - What is less certain is left out.
 */
export function assemble(
  record: EncounterRecord,
  fromRecord: readonly Candidate[],
  fromNotes: readonly Candidate[],
  procedures: readonly ProcedureCandidate[],
  verified: ReadonlySet<string>,
  minConfidence: number
): Assembled {
  const notes = [...fromNotes].sort((one, other) => other.confidence - one.confidence);
  const candidates = merged([...fromRecord, ...notes]).filter(({ confidence }) => confidence >= minConfidence);
  const primary = candidates.find(({ code, display }) => mayComeFirst(code, display ?? '')) ?? candidates[0];
  const diagnoses = candidates.map((each) => ({ ...each, isPrimary: each === primary }));
  const kept = procedures.filter(({ confidence }) => confidence >= minConfidence);
  const billed = mergedProcedures(kept).map((each) => billedProcedure(each, record, diagnoses, verified));
  const excludes1Alerts = excludes1Among(diagnoses.map(({ code }) => code));
  return {
    diagnoses,
    procedures: billed,
    modifiers: uniqueModifiers(kept),
    excludes1Alerts,
    warnings: [
      ...(primary && !mayComeFirst(primary.code, primary.display ?? '') ? ['NO_PRIMARY_DIAGNOSIS'] : []),
      ...(excludes1Alerts.length > 0 ? ['EXCLUDES1'] : []),
      ...(billed.some(({ medicalNecessityWarning }) => medicalNecessityWarning) ? ['MEDICAL_NECESSITY'] : []),
      ...(billed.some((each) => !each.verified) ? ['PROCEDURE_CODES_NOT_VERIFIED'] : []),
    ],
  };
}

/** Whether a code may be the first: no external cause, no manifestation of another disease, no body mass index. */
function mayComeFirst(code: string, description: string): boolean {
  return !/^(?:[V-Y]|Z68)/.test(code) && !/\bclassified elsewhere\b/i.test(description);
}

/** One entry a code, with the reasons of all its procedures. */
function mergedProcedures(procedures: readonly ProcedureCandidate[]): ProcedureCandidate[] {
  return merged(procedures).map((each) => ({
    ...(each as ProcedureCandidate),
    reasons: procedures.filter(({ code }) => code === each.code).flatMap(({ reasons }) => reasons),
  }));
}

function uniqueModifiers(procedures: readonly ProcedureCandidate[]): Modifier[] {
  const all = procedures.flatMap(({ modifiers }) => modifiers);
  return [...new Map(all.map((each) => [`${each.appliesTo}-${each.code}`, each])).values()];
}

function billedProcedure(
  { system, code, confidence, source, evidence, reasons }: ProcedureCandidate,
  record: EncounterRecord,
  diagnoses: readonly DiagnosisCode[],
  verified: ReadonlySet<string>
): BilledProcedure {
  const linked = diagnoses.filter((each) => supports(each, reasons));
  const supporting = linked.length > 0 ? linked : onlyDiagnosis(record, diagnoses);
  return {
    system,
    code,
    confidence,
    source,
    evidence,
    verified: verified.has(code),
    diagnoses: supporting.map((each) => each.code),
    ...(supporting.length > 0
      ? {}
      : {
          medicalNecessityWarning:
            'No diagnosis of this suggestion is linked to the procedure: link the one that it was done for',
        }),
  };
}

function supports({ code, evidence }: DiagnosisCode, reasons: readonly string[]): boolean {
  return reasons.some(
    (reason) => plainCode(reason) === plainCode(code) || evidence.some(({ reference }) => reference === reason)
  );
}

/** Where the encounter names one diagnosis, all that was done was for it. Among several nobody here chooses. */
function onlyDiagnosis(record: EncounterRecord, diagnoses: readonly DiagnosisCode[]): DiagnosisCode[] {
  const named = (record.encounter.diagnosis ?? []).map(({ condition }) => condition?.reference ?? '');
  const conditions = [...new Set(named.filter((reference) => reference.startsWith('Condition/')))];
  return conditions.length === 1 ? diagnoses.filter((each) => supports(each, conditions)) : [];
}
