import type { Task } from '@medplum/fhirtypes';
import { findEffects } from '../commands/carry-out.ts';
import { kindOf } from '../commands/kinds.ts';
import { write } from '../commands/writing.ts';
import { asFailure, BotFailure } from '../failure.ts';
import type { BotRun, WorkOutput } from '../run.ts';
import { type Approver, readRoleCodes, requireApprover, requirePerson } from './approvers.ts';
import { answer } from './answer.ts';
import { auditDecision, auditLapsed } from './audit-decision.ts';
import { endUntrusted, expire, isExpired, tellEnd } from './end.ts';
import { finish } from './finish.ts';
import { recheckApprovals } from './lapsed.ts';
import { loadStanding, untrustedRefusal } from './load.ts';
import { completeOrigin } from './origin.ts';
import { prepare, shownSha256, type Step } from './prepare.ts';
import { recover } from './recover.ts';
import { refusal } from './refusal.ts';
import type { DecisionRequest } from './request.ts';
import type { Authors, Standing } from './standing.ts';
import { recordStop, type Stopped } from './stopped.ts';
import { type Decision, isTerminal, OUTCOMES } from './states.ts';
import { type Change, nextVersion } from './versions.ts';

/** Who decides, as the server attests it. */
export interface Person {
  who: string | undefined;
  /** For whom they say to act. */
  onBehalfOf: string | undefined;
}

/** How often a decision is taken up again because somebody else changed the Task meanwhile. */
const ATTEMPTS = 4;

/**
 * Does what a person decided about a Task, once.
 * @throws BotFailure UNAUTHORIZED or SAFETY_BLOCKED with `details.reason`; INVALID_INPUT, AUDIT_UNAVAILABLE and others
 */
export async function decide(
  run: BotRun,
  authors: Authors,
  device: string,
  person: Person,
  request: DecisionRequest
): Promise<WorkOutput> {
  const codes = readRoleCodes(run.secrets);
  // Before anything is read: nobody who may not decide learns whether there is such a Task.
  const approver = await requireDecider(run, person, request.decision, codes).catch(async (error: unknown) => {
    await nameForAudit(run, request.taskId, authors);
    throw error;
  });
  let audited = false;
  let shown: string | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const standing = await loadStanding(run, request.taskId, authors);
    if (!standing.trusted) {
      await endUntrusted(run, standing);
      throw untrustedRefusal(standing);
    }
    const before = await unlessWaiting(run, authors, device, standing, request.decision);
    if (before !== undefined) {
      return before;
    }
    const given = standing.approvals.some(({ who }) => who === approver.who);
    // Who decided had not seen what somebody else made of it meanwhile.
    shown ??= shownSha256(standing);
    if (request.decision === 'approve' && !given && shownSha256(standing) !== shown) {
      throw refusal('COMMAND_DIFFERS', 'The command was modified meanwhile; look at it again');
    }
    const { standing: counted, lapsed } =
      request.decision === 'approve' ? await recheckApprovals(run, standing, codes) : { standing, lapsed: [] };
    let step: Step;
    try {
      step = await prepare(run, device, counted, approver, request);
    } catch (error) {
      if (asFailure(error, 'DB_ERROR').details?.reason !== 'SECOND_PERSON_NEEDED') {
        throw error;
      }
      // They have approved already, and somebody else must: nothing is granted twice.
      return { ...answer(run.namespace, standing.own, []), ...(audited ? {} : { alreadyDone: true }) };
    }
    if (!audited) {
      await auditLapsed(run, standing, lapsed);
      await auditDecision(run, standing, approver, request, step);
      audited = true;
    }
    const warnings = lapsed.length === 0 ? step.warnings : [...step.warnings, 'EARLIER_APPROVAL_LAPSED'];
    const written = await write(run, nextVersion(run.namespace, standing, step.change));
    const { claim } = step.change;
    const task = written.changed ? await findClaimed(run, authors, standing, claim) : (written.resource as Task);
    if (task === undefined) {
      continue;
    }
    if (claim === undefined) {
      return answer(run.namespace, task, warnings);
    }
    const claimed = afterClaim(standing, task, step, claim);
    const done = await finish(run, authors, { standing: claimed, device, facts: step.facts, fresh: true });
    const meanwhile = request.decision === 'approve' ? [] : await doneMeanwhile(run, authors, standing);
    return answer(run.namespace, done, [...warnings, ...meanwhile]);
  }
  throw new BotFailure('DB_ERROR', 'The Task was changed again and again; decide again', { taskId: request.taskId });
}

/**
 * Finds out whom and what a decision was about that is refused before anything is read, for the audit trail alone: the
 * answer is the same whether there is such a Task or not.
 */
async function nameForAudit(run: BotRun, taskId: string, authors: Authors): Promise<void> {
  await loadStanding(run, taskId, authors).catch(() => undefined);
}

async function requireDecider(
  run: BotRun,
  { who, onBehalfOf }: Person,
  decision: Decision,
  codes: ReturnType<typeof readRoleCodes>
): Promise<Approver> {
  if (decision === 'withdraw') {
    requirePerson(who, onBehalfOf);
    return { who: who as string, roles: [] };
  }
  return requireApprover(run, who, onBehalfOf, codes);
}

/**
 * Answers for a Task about which nothing is to be decided any more.
 * @returns undefined while it waits for a decision.
 * @throws BotFailure SAFETY_BLOCKED
 */
async function unlessWaiting(
  run: BotRun,
  authors: Authors,
  device: string,
  standing: Standing,
  decision: Decision
): Promise<WorkOutput | undefined> {
  const { state, original } = standing;
  if (state === 'executing') {
    const task = (await recover(run, authors, device, standing)) ?? standing.own;
    if (decision === standing.claim?.decision) {
      return { ...answer(run.namespace, task, []), alreadyDone: true };
    }
    throw wrongStatus(task, run.namespace);
  }
  if (isTerminal(state)) {
    await tellEnd(run, standing, device);
    await completeOrigin(run, authors, standing);
    if (state === OUTCOMES[decision]) {
      return { ...answer(run.namespace, standing.own, []), alreadyDone: true };
    }
    throw wrongStatus(standing.own, run.namespace);
  }
  if (standing.byHand.kind !== 'stopped' && isExpired(standing)) {
    const task = await expire(run, standing, device);
    throw refusal('EXPIRED', 'The command was not approved in time', { taskId: original.id, status: task.status });
  }
  if (standing.byHand.kind === 'stopped') {
    await recordStop(run, standing as Stopped, device);
  }
  if (standing.byHand.kind === 'stopped' || standing.byHand.kind === 'paused') {
    throw wrongStatus(standing.current, run.namespace);
  }
  return undefined;
}

function wrongStatus(task: Task, namespace: string): BotFailure {
  const { taskId, status, businessStatus } = answer(namespace, task, []);
  const reason = businessStatus === 'expired' ? 'EXPIRED' : 'WRONG_STATUS';
  return refusal(reason, `The Task is ${String(status)}`, { taskId, status, businessStatus });
}

/** The Task by a claim whose answer was lost: MedplumClient sends again, and the claim itself is then in the way. */
async function findClaimed(
  run: BotRun,
  authors: Authors,
  { original }: Standing,
  claim: Change['claim']
): Promise<Task | undefined> {
  if (claim === undefined) {
    return undefined;
  }
  const now = await loadStanding(run, original.id as string, authors);
  return now.trusted && now.claim?.id === claim.id ? now.own : undefined;
}

function afterClaim(
  standing: Standing,
  task: Task,
  { change }: Step,
  claim: NonNullable<Change['claim']>
): Parameters<typeof finish>[2]['standing'] {
  return {
    ...standing,
    current: task,
    own: task,
    state: 'executing',
    approvals: [...(change.approvals ?? [])],
    modified: change.modified,
    decidedBy: change.decidedBy,
    claim: { ...claim, since: Date.now() },
    byHand: { kind: 'nothing' },
  };
}

/**
 * Whoever says no must not believe that nothing came of it where the Command Processor needed nobody in the end: a
 * result that was preliminary when it was handed in is final now.
 */
async function doneMeanwhile(run: BotRun, authors: Authors, { command, queued }: Standing): Promise<string[]> {
  if (!kindOf(command.name).automatic) {
    return [];
  }
  const bots = [authors.queue, authors.processor];
  // The decision is carried out, and stays so whatever becomes of this.
  const effects = await findEffects(run, command, queued.commandId, bots).catch(() => new Map());
  return effects.size === 0 ? [] : ['CARRIED_OUT_MEANWHILE'];
}
