import type { BotRun } from '../run.ts';
import type { Approver } from './approvers.ts';
import type { Lapsed } from './lapsed.ts';
import type { Step } from './prepare.ts';
import type { DecisionRequest } from './request.ts';
import type { Standing } from './standing.ts';

/**
 * Fail-closed: nothing is decided that is not written down.
 * @throws BotFailure AUDIT_UNAVAILABLE
 */
export async function auditDecision(
  run: BotRun,
  standing: Standing,
  { who, roles }: Approver,
  { decision, reason }: DecisionRequest,
  { change }: Step
): Promise<void> {
  await run.audit.require({
    type: decision === 'approve' ? 'approval_granted' : 'approval_denied',
    action: 'E',
    outcome: '0',
    patientId: standing.command.patientId,
    encounterId: standing.command.encounterId,
    resource: `Task/${standing.original.id}`,
    commandId: standing.queued.commandId,
    detail: {
      command: standing.command.name,
      decision,
      approver: who,
      ...(roles.length === 0 ? {} : { roles: roles.join() }),
      ...(change.modified === undefined ? {} : { 'modified-sha256': change.modified.sha256 }),
      ...(reason === undefined ? {} : { 'reason-length': reason.length }),
    },
  });
}

/**
 * Fail-closed too: that somebody's approval counts no more changes who stands behind a command.
 * @throws BotFailure AUDIT_UNAVAILABLE
 */
export async function auditLapsed(run: BotRun, { command, original, queued }: Standing, lapsed: readonly Lapsed[]): Promise<void> {
  for (const { who, reason } of lapsed) {
    await run.audit.require({
      type: 'approval_refused',
      action: 'E',
      outcome: '4',
      outcomeDesc: `UNAUTHORIZED: ${reason}: an approval that was given before counts no more`,
      patientId: command.patientId,
      encounterId: command.encounterId,
      resource: `Task/${original.id}`,
      commandId: queued.commandId,
      detail: { command: command.name, approver: who, reason },
    });
  }
}
