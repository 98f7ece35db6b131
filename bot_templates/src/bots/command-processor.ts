/**
 * Command Processor Bot: checks what a model proposes, and carries it out, queues it for a person, or blocks it.
 *
 * `$execute {command, patientId, encounterId?, confidence, aiModel?, promptTemplate?, sources?, parameters}`
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import { BotFailure, type FailureOutput } from '../lib/failure.ts';
import type { BotInput } from '../lib/input.ts';
import { requireProfessional } from '../lib/requester.ts';
import { type BotRun, CLINICAL_MODEL, runBot, type SuccessOutput, type WorkOutput } from '../lib/run.ts';
import { readSubmission } from '../lib/commands/command.ts';
import { processCommand } from '../lib/commands/process.ts';

const BOT = {
  key: 'command-processor',
  name: 'Command Processor Bot',
  runsAsUser: false,
  unforeseen: 'DB_ERROR',
  failureAudit: 'command_failed',
  refusalAudit: 'command_blocked',
  model: CLINICAL_MODEL,
} as const;

export async function handler(
  medplum: MedplumClient,
  event: BotEvent<unknown>
): Promise<SuccessOutput | FailureOutput> {
  return runBot(BOT, medplum, event, work);
}

async function work(run: BotRun, input: BotInput): Promise<WorkOutput> {
  requireProfessional(run, 'hand in commands');
  if (input.kind !== 'command') {
    throw new BotFailure('INVALID_INPUT', 'The input must be a command, not a resource');
  }
  return processCommand(run, readSubmission(input.fields));
}
