/**
 * Billing Code Suggester Bot: reads a finished encounter's record, suggests the codes that it documents, and tells what
 * the documentation lacks. A person decides.
 *
 * `$execute {patientId, encounterId, minConfidence?}`, and by subscription an Encounter that becomes finished.
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import { assemble, withoutOverruled } from '../lib/billing/assemble.ts';
import { alreadyOpen, openTask, submitSuggestion } from '../lib/billing/command.ts';
import { verifiedCpt } from '../lib/billing/cpt-validation.ts';
import { recordDiagnoses } from '../lib/billing/diagnoses.ts';
import { type EncounterRecord, readEncounterRecord } from '../lib/billing/encounter-record.ts';
import { noteDiagnoses } from '../lib/billing/note-codes.ts';
import { signedNotes } from '../lib/billing/notes.ts';
import { officeVisit } from '../lib/billing/office-visit.ts';
import { output, type Suggested, suggestionAudit } from '../lib/billing/output.ts';
import { CPT } from '../lib/billing/procedure-code.ts';
import { recordProcedures } from '../lib/billing/procedures.ts';
import { readEncounter, readRequest } from '../lib/billing/request.ts';
import { asFailure, type FailureOutput } from '../lib/failure.ts';
import type { BotInput } from '../lib/input.ts';
import { ServerSources } from '../lib/record-sources.ts';
import { requireProfessional } from '../lib/requester.ts';
import { type BotRun, CLINICAL_MODEL, runBot, type SuccessOutput, type WorkOutput } from '../lib/run.ts';

const BOT = {
  key: 'billing-code-suggester',
  name: 'Billing Code Suggester Bot',
  runsAsUser: false,
  unforeseen: 'DB_ERROR',
  failureAudit: 'billing_suggestion',
  model: CLINICAL_MODEL,
} as const;

export async function handler(
  medplum: MedplumClient,
  event: BotEvent<unknown>
): Promise<SuccessOutput | FailureOutput> {
  return runBot(BOT, medplum, event, async (run, input) => {
    if (!run.bySubscription(input)) {
      requireProfessional(run, 'ask for billing codes');
    }
    // A deletion finishes nothing.
    if (input.kind === 'deleted') {
      return { skipped: 'deleted' };
    }
    const request = readRequest(input);
    const read = await readEncounter(run, request);
    if ('skipped' in read) {
      return read;
    }
    // It authors the audit trail; asked for now, it need not be waited for then.
    void run.device();
    const record = await readEncounterRecord(run, read.encounter, read.patientId);
    const suggested = await suggest(run, record, request.minConfidence);
    return hand(run, input, record, suggested);
  });
}

async function suggest(run: BotRun, record: EncounterRecord, minConfidence: number): Promise<Suggested> {
  const signed = await signedNotes(record.documents, new ServerSources(run.medplum));
  const diagnoses = recordDiagnoses(record);
  const procedures = recordProcedures(record);
  const visit = officeVisit(record, signed.notes, procedures.codedLevels);
  const billed = [...visit.codes, ...procedures.codes];
  const cpt = [...new Set(billed.filter(({ system }) => system === CPT).map(({ code }) => code))];
  const [inNotes, verified] = await Promise.all([noteDiagnoses(run, signed.notes), verifiedCpt(run, cpt)]);
  // Never upcode: where the record has coded a category, a model does not code it otherwise.
  const { kept, refused } = withoutOverruled(diagnoses, inNotes.codes);
  const suggestion = assemble(record, diagnoses.codes, kept, billed, verified, minConfidence);
  const noDiagnosis = { code: 'NO_DIAGNOSIS', message: 'No diagnosis of the encounter can be coded' };
  return {
    suggestion,
    model: inNotes.model,
    refused: [...diagnoses.refused, ...procedures.refused, ...visit.refused, ...inNotes.refused, ...refused],
    gaps: [
      ...(suggestion.diagnoses.length === 0 ? [noDiagnosis] : []),
      ...diagnoses.gaps,
      ...procedures.gaps,
      ...visit.gaps,
      ...signed.gaps,
    ],
    warnings: [
      ...record.warnings,
      ...signed.warnings,
      ...inNotes.warnings,
      ...visit.warnings,
      ...suggestion.warnings,
      ...(refused.length > 0 ? ['CODE_REFUSED'] : []),
    ],
  };
}

/** Hands the suggestion in for approval, and answers with it; without a code there is nothing to approve. */
async function hand(run: BotRun, input: BotInput, record: EncounterRecord, suggested: Suggested): Promise<WorkOutput> {
  const { suggestion } = suggested;
  const codes = suggestion.diagnoses.length + suggestion.procedures.length;
  const finished = record.encounter.status === 'finished';
  if (codes === 0 || !finished) {
    run.audit.note(suggestionAudit(record, suggested));
    return output(suggested, undefined, finished ? [] : ['ENCOUNTER_NOT_FINISHED']);
  }
  // Fail-closed: without an audit trail nothing is proposed.
  const [open] = await Promise.all([openTask(run, record), run.audit.require(suggestionAudit(record, suggested))]);
  try {
    const submitted =
      open.taskId === undefined
        ? await submitSuggestion(run, record, suggestion, suggested.model)
        : alreadyOpen(open.taskId);
    return output(suggested, submitted, [...submitted.warnings, ...(open.forged ? ['FORGED_TASK_IGNORED'] : [])]);
  } catch (error) {
    const failure = asFailure(error, BOT.unforeseen);
    if (run.bySubscription(input)) {
      throw failure;
    }
    const outcomeDesc = `${failure.code}: ${failure.message}`;
    run.audit.note({ ...suggestionAudit(record, suggested), outcome: '8', outcomeDesc });
    return { ...output(suggested, undefined, []), ...failure.output() };
  }
}
