import type { Task } from '@medplum/fhirtypes';
import type { AuditType } from '../audit.ts';
import { write, writeOwn } from '../commands/writing.ts';
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
  await writeOwn(run, notice(run.namespace, standing, 'expired', device, new Date()));
  return end(run, standing, 'expired', 'command_expired');
}

/** Ends a command that waits and must not be carried out. */
export async function failWaiting(
  run: BotRun,
  standing: Standing,
  device: string,
  businessStatus: BusinessStatus
): Promise<Task> {
  await writeOwn(run, notice(run.namespace, standing, 'failed', device, new Date()));
  return end(run, standing, businessStatus, 'command_failed');
}

async function end(run: BotRun, standing: Standing, businessStatus: BusinessStatus, audited: AuditType): Promise<Task> {
  const { approvals, modified } = standing;
  const change = { status: 'failed', businessStatus, approvals, modified } as const;
  const written = await write(run, nextVersion(run.namespace, standing, change));
  if (written.changed) {
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
  return written.resource as Task;
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
  const written = await write(run, nextVersion(run.namespace, { current, original }, change));
  return !written.changed;
}
