import type { DataRequirement, Patient } from '@medplum/fhirtypes';
import { ageInYears, readPatient } from '../patient.ts';
import type { BotRun, WorkOutput } from '../run.ts';
import { cardsOf } from './cards.ts';
import { differentialsFor, type Differentials } from './differential.ts';
import { type Flagged, flagCritical } from './flags.ts';
import { keepGuidance, type Snapshot } from './guidance.ts';
import { decideMedications, type MedicationDecision } from './medication-decision.ts';
import { readDecisionRules } from './policy.ts';
import { type Recommendation, recommendationsFor } from './preventive.ts';
import { type RecentCritical, recentCritical } from './recent.ts';
import { readPreventive, readRecentResults } from './record.ts';
import type { DecisionRules } from './rules.ts';

export const ANALYSES = ['interactions', 'critical', 'preventive', 'diagnosis'] as const;
export type Analysis = (typeof ANALYSES)[number];

/** What is to be decided. */
export interface DecisionRequest {
  patientId: string;
  encounterId: string | undefined;
  analyses: readonly Analysis[];
  chiefComplaint: string | undefined;
  /** Whether critical results are handed to the Command Processor. */
  commands: boolean;
}

export interface Decided {
  output: WorkOutput;
  /** Critical results that could not be handed on. */
  failed: Flagged[];
}

/** Stands in every answer. */
export const STATEMENT =
  'No finding is no safety. The rules are a starting set and no complete drug database; medications that are not ' +
  'recognised, doses, routes, renal function and pregnancy are not checked. A clinician decides.';

/**
 * Decides by rules on a patient's medications, results and prevention, and asks the model for diagnoses if that is wanted.
 * @throws BotFailure PATIENT_NOT_FOUND, NOT_CONFIGURED, UNAUTHORIZED, DB_ERROR, TIMEOUT
 */
export async function decide(run: BotRun, request: DecisionRequest): Promise<Decided> {
  // A policy that is not understood stops everything before anything is read.
  const rules = readDecisionRules(run.secrets);
  const patient = await readPatient(run, request.patientId, 'DB_ERROR');
  const wants = (analysis: Analysis) => request.analyses.includes(analysis);
  const medication = wants('interactions')
    ? await decideMedications(run, request.patientId, rules)
    : undefined;
  const critical = wants('critical') ? await decideCritical(run, request, patient, rules) : undefined;
  const prevention = wants('preventive') ? await decidePreventive(run, patient, rules) : undefined;
  const guidance = await keepGuidance(run, snapshotOf(request, patient, rules, medication, critical, prevention));
  // Last, for it is slow and nothing above waits for it.
  const suggested = wants('diagnosis') ? await differentialsFor(run, patient, request.chiefComplaint) : undefined;
  noteDecision(run, request, medication, critical, suggested);
  return {
    output: outputOf(rules, medication, critical, prevention, suggested, guidance.id),
    failed: (critical?.commands ?? []).filter(({ action }) => action === 'failed'),
  };
}

interface CriticalDecision extends RecentCritical {
  commands: Flagged[];
  warnings: string[];
}

async function decideCritical(
  run: BotRun,
  request: DecisionRequest,
  patient: Patient,
  rules: DecisionRules
): Promise<CriticalDecision> {
  const now = new Date();
  const { observations, incomplete } = await readRecentResults(run, request.patientId, rules.criticalHours, now);
  const age = ageInYears(patient, now);
  const found = recentCritical(observations, age, rules.critical, rules.criticalHours, now);
  const standing = found.criticalFindings.filter(({ superseded }) => !superseded);
  const flagged = request.commands
    ? await flagCritical(run, request.patientId, standing)
    : { commands: [], warnings: standing.length > 0 ? ['COMMANDS_NOT_GENERATED'] : [] };
  return {
    ...found,
    commands: flagged.commands,
    warnings: [
      ...flagged.warnings,
      ...(found.unitMismatches.length > 0 ? ['UNIT_MISMATCH'] : []),
      ...(found.notAssessed.length > 0 ? ['RESULT_NOT_ASSESSED'] : []),
      ...(age === undefined ? ['AGE_UNKNOWN'] : []),
      ...(incomplete ? ['RECORD_INCOMPLETE'] : []),
    ],
  };
}

interface PreventiveDecision {
  recommendations: Recommendation[];
  warnings: string[];
}

async function decidePreventive(run: BotRun, patient: Patient, rules: DecisionRules): Promise<PreventiveDecision> {
  const record = await readPreventive(run, patient, rules);
  return {
    recommendations: recommendationsFor(record, rules.preventive, rules.needs, new Date()),
    warnings: [
      ...(record.incomplete ? ['RECORD_INCOMPLETE'] : []),
      ...(patient.birthDate === undefined ? ['AGE_UNKNOWN'] : []),
    ],
  };
}

function snapshotOf(
  request: DecisionRequest,
  patient: Patient,
  rules: DecisionRules,
  medication: MedicationDecision | undefined,
  critical: CriticalDecision | undefined,
  prevention: PreventiveDecision | undefined
): Snapshot {
  const results = (critical?.considered ?? []).map(({ id, meta }) => `Observation/${id}@${meta?.versionId}`);
  return {
    patientId: request.patientId,
    encounterId: request.encounterId,
    // The model's part is in the answer alone.
    analyses: request.analyses.filter((analysis) => analysis !== 'diagnosis'),
    ruleset: rules.ruleset,
    considered: [...(medication?.considered ?? []), ...results],
    issues: medication?.issues ?? [],
    critical: [
      ...new Set((critical?.criticalFindings ?? []).filter((each) => !each.superseded).map((each) => each.observation)),
    ],
    preventive: (prevention?.recommendations ?? []).map(({ rule, status }) => `${rule}:${status}`),
    missing: missingOf(
      patient,
      medication,
      critical !== undefined || prevention !== undefined,
      prevention !== undefined
    ),
  };
}

/** What the record lacks for a better decision. */
function missingOf(
  patient: Patient,
  medication: MedicationDecision | undefined,
  needsAge: boolean,
  needsSex: boolean
): DataRequirement[] {
  const ofPatient = [
    ...(needsAge && patient.birthDate === undefined ? ['birthDate'] : []),
    ...(needsSex && patient.gender === undefined ? ['gender'] : []),
  ];
  const types = [
    ...new Set((medication?.unrecognised ?? []).map((reference) => reference.split('/')[0] as string)),
  ].sort();
  return [
    ...(ofPatient.length > 0 ? [{ type: 'Patient' as const, mustSupport: ofPatient }] : []),
    ...types.map((type) => ({
      type: type as DataRequirement['type'],
      mustSupport: [type === 'AllergyIntolerance' ? 'code' : 'medication[x]'],
    })),
  ];
}

function outputOf(
  rules: DecisionRules,
  medication: MedicationDecision | undefined,
  critical: CriticalDecision | undefined,
  prevention: PreventiveDecision | undefined,
  suggested: Differentials | undefined,
  guidanceResponseId: string
): WorkOutput {
  const findings = {
    interactions: medication?.interactions ?? [],
    duplicates: medication?.duplicates ?? [],
    allergyConflicts: medication?.allergyConflicts ?? [],
    criticalFindings: critical?.criticalFindings ?? [],
    unitMismatches: critical?.unitMismatches ?? [],
    preventive: prevention?.recommendations ?? [],
    differentials: suggested?.differentials ?? [],
  };
  const warnings = [medication, critical, prevention, suggested].flatMap((part) => part?.warnings ?? []);
  return {
    ...findings,
    notAssessed: critical?.notAssessed ?? [],
    detectedIssues: medication?.issues ?? [],
    issuesWritten: medication?.written ?? { created: 0, cancelled: 0, reopened: 0 },
    commands: critical?.commands ?? [],
    guidanceResponseId,
    cards: cardsOf(findings, rules.ruleset),
    ruleset: rules.ruleset,
    statement: STATEMENT,
    unrecognised: medication?.unrecognised ?? [],
    contradictory: medication?.contradictory ?? [],
    ...(suggested?.model === undefined ? {} : { modelUsed: suggested.model }),
    warnings: [...new Set(warnings)],
  };
}

/** Counts only. */
function noteDecision(
  run: BotRun,
  request: DecisionRequest,
  medication: MedicationDecision | undefined,
  critical: CriticalDecision | undefined,
  suggested: Differentials | undefined
): void {
  const failed = (critical?.commands ?? []).filter(({ action }) => action === 'failed').length;
  run.audit.note({
    type: 'decision_support',
    action: 'E',
    outcome: failed > 0 ? '8' : '0',
    ...(failed > 0 ? { outcomeDesc: `COMMAND_FAILED: ${failed} critical results were not handed on` } : {}),
    patientId: request.patientId,
    encounterId: request.encounterId,
    resource: run.resource,
    detail: {
      analyses: request.analyses.join(),
      issues: medication?.issues.length ?? 0,
      'issues-created': medication?.written.created ?? 0,
      'issues-cancelled': medication?.written.cancelled ?? 0,
      unrecognised: medication?.unrecognised.length ?? 0,
      critical: critical?.criticalFindings.length ?? 0,
      commands: critical?.commands.length ?? 0,
      differentials: suggested?.differentials.length ?? 0,
    },
  });
}
