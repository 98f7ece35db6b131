/**
 * Clinical Decision Support Bot: tells by rules what in a record is dangerous or due, and writes it down.
 *
 * Runs on Encounters that begin and on MedicationRequests, and by `$execute {patientId, analysisTypes?, chiefComplaint?,
 * generateCommands?}`.
 *
 * Rules decide on interactions, duplicates, allergies, critical results and prevention. The model only suggests
 * diagnoses, in the answer and nowhere else. No Encounter, prescription or result is ever written.
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import type { DetectedIssue, Encounter, MedicationRequest, Resource } from '@medplum/fhirtypes';
import { ANALYSES, type Analysis, decide, type Decided, type DecisionRequest } from '../lib/decision/decide.ts';
import { issueSystem } from '../lib/decision/issues.ts';
import { decideMedications } from '../lib/decision/medication-decision.ts';
import { readDecisionRules } from '../lib/decision/policy.ts';
import { BotFailure, type FailureOutput } from '../lib/failure.ts';
import { Fields } from '../lib/fields.ts';
import { readCurrent, searchPage } from '../lib/fhir.ts';
import { isUuid, referencedId } from '../lib/ids.ts';
import { readPatient } from '../lib/patient.ts';
import { requireProfessional } from '../lib/requester.ts';
import { type BotRun, CLINICAL_MODEL, runBot, type SuccessOutput, type WorkOutput } from '../lib/run.ts';

const BOT = {
  key: 'clinical-decision-support',
  name: 'Clinical Decision Support Bot',
  runsAsUser: false,
  unforeseen: 'DB_ERROR',
  failureAudit: 'decision_support',
  model: CLINICAL_MODEL,
} as const;

/** Statuses of an Encounter in which somebody sees the patient. */
const ENCOUNTER_STATUSES: readonly string[] = ['arrived', 'triaged', 'in-progress'];
/** Statuses of a prescription that is to be judged; in any other, only what was said of it is revised. */
const REQUEST_STATUSES: readonly string[] = ['draft', 'active'];

export async function handler(
  medplum: MedplumClient,
  event: BotEvent<unknown>
): Promise<SuccessOutput | FailureOutput> {
  return runBot(BOT, medplum, event, async (run, input) => {
    if (!run.bySubscription(input)) {
      // Also who hands in a resource, as a subscription does.
      requireProfessional(run, 'ask for decision support');
    }
    if (input.kind === 'command') {
      return (await decide(run, readRequest(input.fields))).output;
    }
    const decided = await follow(run, input.resource, input.kind === 'deleted');
    if (decided.failed.length > 0 && run.bySubscription(input)) {
      // Nobody reads the answer of a subscription: a critical result without its flag must show as a failed run.
      const code = decided.failed[0]?.errorCode === 'UNAUTHORIZED' ? 'UNAUTHORIZED' : 'NOT_CONFIGURED';
      throw new BotFailure(
        code,
        `${decided.failed.length} critical result(s) could not be handed to the Command Processor`
      );
    }
    return decided.output;
  });
}

function readRequest(given: Record<string, unknown>): DecisionRequest {
  const fields = new Fields(given);
  const patientId = fields.present('patientId', fields.id('patientId', 'Patient'));
  const chiefComplaint = fields.text('chiefComplaint', 2_000);
  const analyses = fields.listOf('analysisTypes', ANALYSES) ?? defaultAnalyses(chiefComplaint);
  const commands = fields.boolean('generateCommands') ?? true;
  fields.done();
  return { patientId, encounterId: undefined, analyses, chiefComplaint, commands };
}

/** The model is asked only where somebody named what the patient came with, or asked for it. */
function defaultAnalyses(chiefComplaint: string | undefined): Analysis[] {
  return ANALYSES.filter((analysis) => analysis !== 'diagnosis' || chiefComplaint !== undefined);
}

/** The resource only says what to look at: it is read from the server again. */
async function follow(run: BotRun, resource: Resource, deleted: boolean): Promise<Decided> {
  const { resourceType, id } = resource;
  if (resourceType !== 'Encounter' && resourceType !== 'MedicationRequest') {
    return skipped('a type that is not followed');
  }
  if (!isUuid(id)) {
    throw new BotFailure('INVALID_INPUT', `The ${resourceType} has no id, or one that is no UUID`);
  }
  run.resource = `${resourceType}/${id.toLowerCase()}`;
  return resourceType === 'Encounter'
    ? followEncounter(run, id.toLowerCase())
    : followRequest(run, id.toLowerCase(), deleted);
}

async function followEncounter(run: BotRun, id: string): Promise<Decided> {
  const { found } = await readCurrent<Encounter>(run.medplum, 'Encounter', id, 'DB_ERROR');
  if (!found || !ENCOUNTER_STATUSES.includes(found.status)) {
    return skipped('the encounter is in no status in which a patient is seen');
  }
  const patientId = referencedId(found.subject?.reference, 'Patient');
  if (patientId === undefined) {
    return skipped('the encounter has no patient');
  }
  return decide(run, {
    patientId,
    encounterId: id,
    analyses: ['interactions', 'critical', 'preventive'],
    chiefComplaint: undefined,
    commands: true,
  });
}

async function followRequest(run: BotRun, id: string, deleted: boolean): Promise<Decided> {
  const reference = `MedicationRequest/${id}`;
  const current = await readCurrent<MedicationRequest>(run.medplum, 'MedicationRequest', id, 'DB_ERROR');
  const { found } = current;
  if (!current.found && current.absent === 'unknown' && !deleted) {
    throw new BotFailure('INVALID_INPUT', `${reference} does not exist, or the bot may not read it`);
  }
  const patientId = referencedId(found?.subject.reference, 'Patient');
  // Whom an earlier version was for, the issues tell that were made of it.
  for (const other of await patientsOfIssues(run, reference)) {
    if (other !== patientId) {
      await revise(run, other, reference);
    }
  }
  if (patientId === undefined) {
    return skipped('the request is gone, or for no patient');
  }
  if (!REQUEST_STATUSES.includes(found?.status ?? '')) {
    const stopped = found?.status === 'on-hold' ? undefined : reference;
    return { output: await revise(run, patientId, stopped), failed: [] };
  }
  return decide(run, {
    patientId,
    encounterId: undefined,
    analyses: ['interactions', 'critical'],
    chiefComplaint: undefined,
    commands: true,
  });
}

/** Patients with an issue of ours that names the request. */
async function patientsOfIssues(run: BotRun, reference: string): Promise<string[]> {
  const query = new URLSearchParams({
    implicated: reference,
    identifier: `${issueSystem(run.namespace)}|`,
    _count: '100',
  });
  const page = await searchPage<DetectedIssue>(run.medplum, 'DetectedIssue', query.toString(), 'DB_ERROR');
  const ids = (page.entry ?? []).map(({ resource }) => referencedId(resource?.patient?.reference, 'Patient'));
  return [...new Set(ids.filter((id) => id !== undefined))];
}

/** Brings a patient's issues in line once a prescription is over, and no more. */
async function revise(run: BotRun, patientId: string, stopped: string | undefined): Promise<WorkOutput> {
  const rules = readDecisionRules(run.secrets);
  await readPatient(run, patientId, 'DB_ERROR');
  const { written, issues, warnings } = await decideMedications(run, patientId, rules, stopped);
  run.audit.note({
    type: 'decision_support',
    action: 'E',
    outcome: '0',
    patientId,
    resource: run.resource,
    detail: { 'issues-created': written.created, 'issues-cancelled': written.cancelled, issues: issues.length },
  });
  return { detectedIssues: issues, issuesWritten: written, ruleset: rules.ruleset, warnings };
}

function skipped(reason: string): Decided {
  return { output: { skipped: [{ reason }] }, failed: [] };
}
