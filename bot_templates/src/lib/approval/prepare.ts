import { randomUUID } from 'node:crypto';
import type { Command, Facts } from '../commands/kind.ts';
import { asFailure, BotFailure } from '../failure.ts';
import type { BotRun } from '../run.ts';
import type { Approver } from './approvers.ts';
import { failWaiting } from './end.ts';
import { blockedStatus } from './failure-status.ts';
import { modify, reassess } from './reassess.ts';
import { refusal } from './refusal.ts';
import type { DecisionRequest } from './request.ts';
import { completes } from './second-person.ts';
import { type Approval, humanAuthor, type Standing } from './standing.ts';
import { type ApprovalEvent, type Decision, next, type State } from './states.ts';
import { type Change, reasonConcept } from './versions.ts';

/** The next version of the Task, and what was learned for it. */
export interface Step {
  change: Change;
  facts: Facts | undefined;
  warnings: string[];
}

/**
 * What a decision about a waiting Task comes to, with nothing written yet.
 * @throws BotFailure UNAUTHORIZED, SAFETY_BLOCKED or INVALID_INPUT when it does not count
 */
export async function prepare(
  run: BotRun,
  device: string,
  standing: Standing,
  approver: Approver,
  request: DecisionRequest
): Promise<Step> {
  if (request.decision === 'approve') {
    return prepareApproval(run, device, standing, approver, request);
  }
  if (request.decision === 'withdraw' && humanAuthor(standing) !== approver.who) {
    throw refusal('NOT_THE_SUBMITTER', 'Only who handed a command in may withdraw it');
  }
  if (request.decision === 'reject') {
    requireOthers(standing, approver);
    // One of two is enough to say no.
    completes({ roles: standing.queued.roles, dual: false }, [], approver);
  }
  return {
    change: {
      ...claimChange(standing, { type: request.decision }, request.decision),
      decidedBy: approver.who,
      reason: reasonConcept(run.namespace, request.reason),
    },
    facts: undefined,
    warnings: [],
  };
}

async function prepareApproval(
  run: BotRun,
  device: string,
  standing: Standing,
  approver: Approver,
  { modifications, commandSha256 }: DecisionRequest
): Promise<Step> {
  requireOthers(standing, approver);
  // Whoever was given no answer, and asks again, has seen what they approved before.
  const repeated = isRepeated(standing, approver, modifications, commandSha256);
  if (!repeated) {
    requireSeen(standing, modifications, commandSha256);
  }
  const modified = modifications === undefined || repeated ? standing.modified : modify(standing, modifications);
  const command = modified?.command ?? standing.command;
  const { facts, needed, warnings } = await reassess(run, standing, command).catch((error: unknown) =>
    endBlocked(run, standing, device, command, error)
  );
  const last = completes(needed, standing.approvals, approver);
  const roles = approver.roles.filter((role) => needed.roles.includes(role));
  const others = standing.approvals.filter(({ who }) => who !== approver.who);
  const approvals: Approval[] = [...others, { who: approver.who, roles }];
  const event = { type: 'approve', last } as const;
  const change: Change = last
    ? claimChange(standing, event, 'approve')
    : { status: 'requested', businessStatus: requireNext(standing, event) as 'awaiting-second' };
  return {
    change: { ...change, approvals, modified },
    facts,
    warnings: modified === undefined ? warnings : [...warnings, 'COMMAND_MODIFIED'],
  };
}

/** @throws BotFailure SAFETY_BLOCKED or INVALID_INPUT unless what is approved is what the Task shows now. */
function requireSeen(
  standing: Standing,
  modifications: DecisionRequest['modifications'],
  commandSha256: string | undefined
): void {
  const shown = shownSha256(standing);
  if (commandSha256 !== undefined && commandSha256.toLowerCase() !== shown) {
    throw refusal('COMMAND_DIFFERS', 'The command is another than the one that was shown');
  }
  if (modifications !== undefined && standing.approvals.length > 0) {
    throw new BotFailure('INVALID_INPUT', 'Only the first of two approvers may change the command', {
      field: 'modifications',
    });
  }
  // Else who read the command as it was handed in would approve, or change, what somebody made of it meanwhile.
  if (commandSha256 === undefined && standing.modified !== undefined) {
    throw refusal('COMMAND_DIFFERS', 'The command was modified: its approval takes the modified-command-sha256');
  }
}

/** Whether somebody says again what they have said: the answer to the first may have been lost. */
function isRepeated(
  standing: Standing,
  { who }: Approver,
  modifications: DecisionRequest['modifications'],
  commandSha256: string | undefined
): boolean {
  const { approvals, modified, queued } = standing;
  return (
    approvals.some((each) => each.who === who) &&
    [undefined, queued.commandId, shownSha256(standing)].includes(commandSha256?.toLowerCase()) &&
    (modifications === undefined || modify(standing, modifications)?.sha256 === modified?.sha256)
  );
}

/** The hash of the command that a Task shows to who decides about it. */
export function shownSha256({ modified, queued }: Standing): string {
  return modified?.sha256 ?? queued.commandId;
}

/** Ends a Task whose command, as it was queued, must not be carried out; a modification that is blocked ends nothing. */
async function endBlocked(
  run: BotRun,
  standing: Standing,
  device: string,
  command: Command,
  error: unknown
): Promise<never> {
  const failure = asFailure(error, 'DB_ERROR');
  if (failure.code === 'SAFETY_BLOCKED' && command === standing.command) {
    await failWaiting(run, standing, device, blockedStatus(failure.details?.reason));
  }
  throw failure;
}

/** @throws BotFailure UNAUTHORIZED for who handed the command in: it takes somebody else's eyes. */
function requireOthers(standing: Standing, { who }: Approver): void {
  if (humanAuthor(standing) === who) {
    throw refusal('OWN_COMMAND', 'Nobody decides about a command that they handed in themselves');
  }
}

/** A claim that is new in itself: equal content written again would be accepted from everybody, and exclude nobody. */
function claimChange(standing: Standing, event: ApprovalEvent, decision: Decision): Change {
  requireNext(standing, event);
  return {
    status: 'in-progress',
    businessStatus: 'executing',
    approvals: standing.approvals,
    modified: standing.modified,
    claim: { id: randomUUID(), decision },
  };
}

/** @throws BotFailure SAFETY_BLOCKED for an event that cannot happen in the state */
function requireNext({ state, own }: Standing, event: ApprovalEvent): State {
  const after = next(state, event);
  if (after === undefined) {
    throw refusal('WRONG_STATUS', `The Task is ${own.status}`, { taskId: own.id, status: own.status });
  }
  return after;
}
