import { provenance } from '../commands/provenance.ts';
import { findOwn, writeOwn } from '../commands/writing.ts';
import type { BotRun } from '../run.ts';
import { notice } from './notice.ts';
import type { ByHand, Standing } from './standing.ts';

/** A Task that somebody ended past the bot. */
export type Stopped = Standing & { byHand: Extract<ByHand, { kind: 'stopped' }> };

/**
 * Writes down what somebody did who ended a Task by hand, as if they had rejected it here: in the audit trail, in a
 * Provenance of the Task, and in word to the requester. Once, however often the Task is looked at; the Provenance comes
 * last, so that a run that was interrupted is made up for.
 * @returns Whether it was written down now.
 * @throws BotFailure AUDIT_UNAVAILABLE
 */
export async function recordStop(run: BotRun, standing: Stopped, device: string): Promise<boolean> {
  const { original, byHand, command, queued } = standing;
  const now = new Date();
  const origin = provenance({
    targets: [`Task/${original.id}`],
    activity: 'CANCEL',
    device,
    verifiers: byHand.author === undefined ? [] : [byHand.author],
    sources: [],
    now: now.toISOString(),
  });
  if ((await findOwn(run, origin)) !== undefined) {
    return false;
  }
  await run.audit.require({
    type: 'approval_denied',
    action: 'E',
    outcome: '0',
    patientId: command.patientId,
    encounterId: command.encounterId,
    resource: `Task/${original.id}`,
    commandId: queued.commandId,
    detail: {
      command: command.name,
      decision: 'stopped',
      status: byHand.status,
      ...(byHand.author === undefined ? {} : { 'stopped-by': byHand.author }),
    },
  });
  const outcome = byHand.status === 'rejected' ? 'rejected' : 'stopped';
  await writeOwn(run, notice(run.namespace, standing, outcome, device, now));
  await writeOwn(run, origin);
  return true;
}
