import type { Task } from '@medplum/fhirtypes';
import type { AuditType } from '../audit.ts';
import { hasType } from '../commands/task.ts';
import { isOwn, write, writeOwn } from '../commands/writing.ts';
import { asFailure } from '../failure.ts';
import { readCurrent } from '../fhir.ts';
import type { BotRun } from '../run.ts';
import { refusal } from './refusal.ts';
import { notice } from './notice.ts';
import type { Standing, Untrusted } from './standing.ts';
import { type BusinessStatus, nextVersion } from './versions.ts';

/** Whether a command that waits has waited too long; one without a date never may wait. */
export function isExpired({ queued, state }: Standing, now = Date.now()): boolean {
  const waiting = state === 'awaiting-approval' || state === 'awaiting-second';
  return waiting && !(Date.parse(queued.expires ?? '') > now);
}

/**
 * Ends a command that was not approved in time.
 * @throws BotFailure SAFETY_BLOCKED when the Task was changed meanwhile; nothing is run in any case.
 */
export async function expire(run: BotRun, standing: Standing, device: string): Promise<Task> {
  return end(run, standing, device, 'expired', 'command_expired');
}

/** Ends a command that waits and must not be carried out. */
export async function failWaiting(
  run: BotRun,
  standing: Standing,
  device: string,
  businessStatus: BusinessStatus
): Promise<Task> {
  return end(run, standing, device, businessStatus, 'command_failed');
}

async function end(
  run: BotRun,
  standing: Standing,
  device: string,
  businessStatus: BusinessStatus,
  audited: AuditType
): Promise<Task> {
  const { approvals, modified } = standing;
  const change = { status: 'failed', businessStatus, approvals, modified } as const;
  const written = await write(run, nextVersion(run.namespace, standing, change));
  if (written.changed) {
    await tellIfEnded(run, standing, device, businessStatus);
    throw refusal('WRONG_STATUS', 'The Task was changed meanwhile; look at it again', { taskId: standing.original.id });
  }
  run.audit.note({
    type: audited,
    action: 'U',
    outcome: '0',
    patientId: standing.command.patientId,
    encounterId: standing.command.encounterId,
    resource: `Task/${standing.original.id}`,
    commandId: standing.queued.commandId,
    detail: { command: standing.command.name, status: businessStatus },
  });
  const task = written.resource as Task;
  await tellEnd(run, { ...standing, own: task, state: 'failed' }, device);
  return task;
}

/**
 * Tells the requester of a Task that failed, unless they were told. Only once it has: a run that comes too late to end
 * it would say what is not so. Whoever touches the Task later makes up for a run that ended in between.
 */
export async function tellEnd(run: BotRun, standing: Standing, device: string): Promise<void> {
  const is = (status: BusinessStatus): boolean =>
    hasType(standing.own.businessStatus, `${run.namespace}/task-status`, status);
  // What was tampered with is a matter for whoever reads the audit trail.
  if (standing.state !== 'failed' || is('tampered') || is('forged')) {
    return;
  }
  await writeOwn(run, notice(run.namespace, standing, is('expired') ? 'expired' : 'failed', device, new Date()));
}

/** Tells of the end where what changed the Task meanwhile was this very end: its answer was lost, or another run was faster. */
async function tellIfEnded(
  run: BotRun,
  standing: Standing,
  device: string,
  businessStatus: BusinessStatus
): Promise<void> {
  const { found } = await readCurrent<Task>(run.medplum, 'Task', standing.original.id as string, 'DB_ERROR');
  if (found?.status !== 'failed' || !isOwn(run, found)) {
    return;
  }
  if (hasType(found.businessStatus, `${run.namespace}/task-status`, businessStatus)) {
    await tellEnd(run, { ...standing, own: found, state: 'failed' }, device);
  }
}

/**
 * Ends a Task that nothing may be run by; one that was changed says again what it said first.
 *
 * One that was ended before is left alone: whoever changes it again changes nothing.
 * @returns Whether it was ended now.
 */
export async function endUntrusted(run: BotRun, untrusted: Untrusted): Promise<boolean> {
  const { current, original, ended, reason } = untrusted;
  if (current === undefined || ended) {
    return false;
  }
  const businessStatus = reason === 'TAMPERED' ? 'tampered' : 'forged';
  const change = { status: 'failed', businessStatus } as const;
  try {
    const written = await write(run, nextVersion(run.namespace, { current, original }, change));
    return !written.changed;
  } catch (error) {
    // What bears no code of a command any more is not this bot's to change; nothing is run by it all the same.
    if (asFailure(error, 'DB_ERROR').code === 'UNAUTHORIZED') {
      return false;
    }
    throw error;
  }
}
