/**
 * Approval Queue Bot: carries a queued command out once the right people have approved it, and only then.
 *
 * `$execute {taskId, decision: approve|reject|withdraw, reason?, modifications?, commandSha256?}`, `{action: "sweep"}`,
 * a Task that a subscription delivers, or a cron call, which is a sweep
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import { decide } from '../lib/approval/decide.ts';
import { heedTask } from '../lib/approval/events.ts';
import { findAuthors } from '../lib/approval/load.ts';
import { readDecision } from '../lib/approval/request.ts';
import { sweep } from '../lib/approval/sweep.ts';
import { BotFailure, type FailureOutput } from '../lib/failure.ts';
import { Fields } from '../lib/fields.ts';
import { isUuid, parseReference } from '../lib/ids.ts';
import type { BotInput } from '../lib/input.ts';
import { type BotRun, CLINICAL_MODEL, runBot, type SuccessOutput, type WorkOutput } from '../lib/run.ts';

const BOT = {
  key: 'approval-queue',
  name: 'Approval Queue Bot',
  runsAsUser: false,
  unforeseen: 'DB_ERROR',
  failureAudit: 'command_failed',
  refusalAudit: 'approval_refused',
  model: CLINICAL_MODEL,
} as const;

export async function handler(
  medplum: MedplumClient,
  event: BotEvent<unknown>
): Promise<SuccessOutput | FailureOutput> {
  return runBot(BOT, medplum, event, work);
}

async function work(run: BotRun, input: BotInput): Promise<WorkOutput> {
  if (input.kind === 'deleted') {
    return { ignored: true };
  }
  if (input.kind === 'resource') {
    const { resourceType, id } = input.resource;
    if (resourceType === 'Task' && isUuid(id)) {
      return heedTask(run, id.toLowerCase(), () => findAuthors(run), () => requireDevice(run));
    }
    // A cron job hands a bot itself, or the Cron.
    if ((resourceType === 'Bot' || (resourceType as string) === 'Cron') && run.bySubscription(input)) {
      return sweep(run, await findAuthors(run), await requireDevice(run));
    }
    throw new BotFailure('INVALID_INPUT', 'The input must be a decision or a Task');
  }
  if ('action' in input.fields) {
    const fields = new Fields(input.fields);
    fields.present('action', fields.oneOf('action', ['sweep']));
    fields.done();
    requireMember(run);
    return sweep(run, await findAuthors(run), await requireDevice(run));
  }
  const request = readDecision(input.fields);
  run.resource = `Task/${request.taskId}`;
  const person = { who: run.requester, onBehalfOf: run.onBehalfOf };
  return decide(run, await findAuthors(run), await requireDevice(run), person, request);
}

/** Looking after the queue decides nothing, but it is no patient's business; a cron job has no requester. */
function requireMember(run: BotRun): void {
  const type = parseReference(run.requester)?.resourceType;
  if (type === 'Patient' || type === 'RelatedPerson') {
    throw new BotFailure('UNAUTHORIZED', 'Patients and related persons may not look after the queue');
  }
}

async function requireDevice(run: BotRun): Promise<string> {
  const device = await run.device();
  if (device === undefined) {
    throw new BotFailure('NOT_CONFIGURED', 'There is no Device for the model, or it may not be read');
  }
  return device;
}
