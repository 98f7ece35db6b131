import type { Provenance, Task } from '@medplum/fhirtypes';
import { accepted, type Effect, findEffects, referenceTo, requireOurs, versionOf, writeEffects } from '../commands/carry-out.ts';
import type { Command, EffectContext, Facts, Write } from '../commands/kind.ts';
import { kindOf } from '../commands/kinds.ts';
import { provenance } from '../commands/provenance.ts';
import { hasTransactions, resolved, unconditional, type Written, write, writeAtOnce, writeOwn } from '../commands/writing.ts';
import { asFailure, BotFailure } from '../failure.ts';
import type { BotRun } from '../run.ts';
import { answer } from './answer.ts';
import { tellEnd } from './end.ts';
import { statusOfFailure } from './failure-status.ts';
import { loadStanding } from './load.ts';
import { notice, type Outcome } from './notice.ts';
import { nameVersions, originOf } from './origin.ts';
import { reassess } from './reassess.ts';
import type { Authors, Standing } from './standing.ts';
import { OUTCOMES } from './states.ts';
import { recordStop, type Stopped } from './stopped.ts';
import { undoParts } from './undo.ts';
import { type BusinessStatus, type Change, nextVersion } from './versions.ts';

/** For so long after its claim a run writes; far less than what makes a claim stale. */
const WRITING_MS = 60_000;
/** How often the last version of a Task is written again because a person edited it meanwhile. */
const ATTEMPTS = 4;

/** A claimed Task, and what its run knows already. */
export interface Claimed {
  standing: Standing & { claim: NonNullable<Standing['claim']> };
  device: string;
  /** Read for the decision; undefined for a run that takes over. */
  facts: Facts | undefined;
  /** Whether this run made the claim, so that nothing can be written yet. */
  fresh: boolean;
}

/**
 * Carries out the decision of a claim to its end: the effect, where it comes from, word to the requester, the Task.
 *
 * Each step finds out whether it is done already, so that after a crash the next run does what is left.
 * @returns The completed Task.
 * @throws BotFailure SAFETY_BLOCKED when it cannot be carried out, and the Task has failed; any other when it could not
 * be carried out now, and the Task stays claimed until a later run.
 */
export async function finish(run: BotRun, authors: Authors, claimed: Claimed): Promise<Task> {
  try {
    return claimed.standing.claim.decision === 'approve'
      ? await carryOut(run, authors, claimed)
      : await close(run, authors, claimed);
  } catch (error) {
    const failure = asFailure(error, 'DB_ERROR');
    const status = statusOfFailure(failure);
    if (status !== undefined) {
      await undoParts(run, claimed.standing, claimed.device);
      await fail(run, authors, claimed.standing, status, claimed.device, failure);
    }
    throw failure;
  }
}

async function carryOut(run: BotRun, authors: Authors, claimed: Claimed): Promise<Task> {
  const { standing, device } = claimed;
  const { commandId } = standing.queued;
  const command = standing.modified?.command ?? standing.command;
  const kind = kindOf(command.name);
  const bots = [authors.queue, authors.processor];
  const found = await findEffects(run, command, commandId, bots);
  if (found.size === kind.makes.length) {
    const effects = kind.makes.map((type) => found.get(type) as Effect);
    return complete(run, authors, claimed, effects, new Map());
  }
  if (standing.byHand.kind === 'stopped') {
    // The run that claimed it did not come to the effect, and since then somebody has put an end to it.
    await undoParts(run, standing, device);
    await recordStop(run, standing as Stopped, device);
    return writeLast(run, authors, standing, { ...kept(standing), status: 'cancelled', businessStatus: 'withdrawn' });
  }
  const facts = claimed.facts ?? (await reassess(run, standing, command)).facts;
  const context: EffectContext = {
    namespace: run.namespace,
    commandId,
    device,
    facts,
    now: new Date().toISOString(),
    approvers: standing.approvals.map(({ who }) => who),
    prepared: await kind.prepare?.(run, command),
  };
  if (claimed.fresh && found.size === 0 && (await hasTransactions(run))) {
    const task = await carryOutAtOnce(run, claimed, command, context, bots);
    if (task !== undefined) {
      return task;
    }
    // The answer may have been lost, and not the transaction.
    const now = await loadStanding(run, standing.original.id as string, authors);
    if (now.trusted && now.claim?.id !== standing.claim.id) {
      return noteExecuted(run, now.own);
    }
  }
  const references = new Map<string, string>();
  const effects = await writeEffects(run, command, context, bots, references, () => requireTime(standing));
  return complete(run, authors, claimed, effects, references);
}

/** @returns undefined when nothing was written, and it has to be done step by step. */
async function carryOutAtOnce(
  run: BotRun,
  { standing, device }: Claimed,
  command: Command,
  context: EffectContext,
  bots: readonly string[]
): Promise<Task | undefined> {
  const writes = kindOf(command.name).writes(command, context);
  const targets = writes.map(({ fullUrl }) => fullUrl);
  const origin = originOf(standing, command, { targets }, context);
  const change: Change = {
    ...kept(standing),
    status: 'completed',
    businessStatus: 'executed',
    results: [...targets].reverse(),
    provenance: origin.fullUrl,
  };
  const entries: Write[] = [
    ...writes,
    // The version of the Task excludes that they are there already; what looks like them is not this bot's.
    unconditional(origin),
    unconditional(notice(run.namespace, standing, 'executed', device, new Date())),
    nextVersion(run.namespace, standing, change),
  ];
  try {
    requireTime(standing);
    const written = await writeAtOnce(run, entries);
    if (written === 'changed') {
      return undefined;
    }
    const task = accepted(written.at(-1) as Written).resource as Task;
    const effects: Effect[] = [];
    for (const each of written.slice(0, writes.length)) {
      effects.push(await requireOurs(run, accepted(each), context.commandId, bots));
    }
    const said = accepted(written[writes.length] as Written).resource as Provenance;
    // The command is carried out; what is missing then, a later run or the next sweep makes up for.
    await nameVersions(run, said, effects.map(versionOf)).catch(() => run.log(`VERSIONS_LATER Task/${task.id} ${run.requestId}`));
    return noteExecuted(run, task);
  } catch (error) {
    const failure = asFailure(error, 'DB_ERROR');
    // What is refused as a whole may tell step by step what is wrong with it. What took too long may still happen.
    if (failure.code === 'DB_ERROR') {
      return undefined;
    }
    throw failure;
  }
}

/** What follows the effect, each step unless it is done. */
async function complete(
  run: BotRun,
  authors: Authors,
  { standing, device }: Claimed,
  effects: readonly Effect[],
  references: ReadonlyMap<string, string>
): Promise<Task> {
  const command = standing.modified?.command ?? standing.command;
  const targets = effects.map(({ resource }) => referenceTo(resource));
  const now = new Date();
  const versions = effects.map(versionOf);
  const origin = originOf(standing, command, { targets, versions }, { device, now: now.toISOString() });
  const said = await step<Provenance>(run, standing, resolved(origin, references));
  await step(run, standing, notice(run.namespace, standing, 'executed', device, now));
  return writeLast(run, authors, standing, {
    ...kept(standing),
    status: 'completed',
    businessStatus: 'executed',
    results: [...targets].reverse(),
    provenance: referenceTo(said),
  });
}

/** Rejects or withdraws: nothing comes of the command, and that is written down. */
async function close(run: BotRun, authors: Authors, { standing, device }: Claimed): Promise<Task> {
  const { decision } = standing.claim;
  const outcome: Outcome = OUTCOMES[decision];
  const now = new Date();
  const origin = provenance({
    targets: [`Task/${standing.original.id}`],
    activity: 'CANCEL',
    device,
    verifiers: standing.decidedBy === undefined ? [] : [standing.decidedBy],
    sources: [],
    now: now.toISOString(),
  });
  const said = await step<Provenance>(run, standing, origin);
  await step(run, standing, notice(run.namespace, standing, outcome, device, now));
  return writeLast(run, authors, standing, {
    status: decision === 'reject' ? 'rejected' : 'cancelled',
    businessStatus: outcome === 'rejected' ? 'rejected' : 'withdrawn',
    decidedBy: standing.decidedBy,
    reason: standing.own.statusReason,
    provenance: referenceTo(said),
  });
}

/** What stays in a Task from its claim to its end. */
function kept({ approvals, modified }: Standing): Pick<Change, 'approvals' | 'modified'> {
  return { approvals, modified };
}

async function step<T>(run: BotRun, standing: Standing, entry: Write): Promise<T & { resourceType: 'Provenance' }> {
  requireTime(standing);
  const written = await writeOwn(run, entry);
  return (written as { resource: unknown }).resource as T & { resourceType: 'Provenance' };
}

/** A run that has become slow writes nothing more, lest it meets the one that takes over. */
function requireTime({ claim }: Standing): void {
  if (claim === undefined || Date.now() - claim.since > WRITING_MS) {
    throw new BotFailure('TIMEOUT', 'Carrying out the decision took too long; a later run goes on with it');
  }
}

/** Writes the last version of a claimed Task, over whatever people wrote into it meanwhile. */
async function writeLast(run: BotRun, authors: Authors, claimed: Standing, change: Change): Promise<Task> {
  let standing = claimed;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    requireTime(claimed);
    const written = await write(run, nextVersion(run.namespace, standing, change));
    if (!written.changed) {
      return noteExecuted(run, written.resource as Task);
    }
    const now = await loadStanding(run, claimed.original.id as string, authors);
    if (!now.trusted) {
      break;
    }
    if (now.claim?.id !== claimed.claim?.id) {
      // Another run took over and came to the end, or is on its way there.
      return noteExecuted(run, now.own);
    }
    standing = now;
  }
  throw new BotFailure('DB_ERROR', 'The Task was changed again and again while it was to be completed');
}

/** Notes the end of a command that was carried out; rather twice than not at all. */
function noteExecuted(run: BotRun, task: Task): Task {
  if (task.status !== 'completed') {
    return task;
  }
  run.audit.note({
    type: 'command_executed',
    action: 'C',
    outcome: '0',
    patientId: run.patientId,
    resource: answer(run.namespace, task, []).executedResource,
    commandId: run.commandId,
  });
  return task;
}

/** Ends a Task whose command cannot be carried out, and tells its requester. */
async function fail(
  run: BotRun,
  authors: Authors,
  standing: Standing,
  businessStatus: BusinessStatus,
  device: string,
  failure: BotFailure
): Promise<void> {
  const task = await writeLast(run, authors, standing, { ...kept(standing), status: 'failed', businessStatus });
  if (task.status !== 'failed') {
    // Another run took over, and came to another end.
    return;
  }
  await tellEnd(run, { ...standing, own: task, state: 'failed' }, device);
  run.audit.note({
    type: 'command_failed',
    action: 'E',
    outcome: '4',
    outcomeDesc: `${failure.code}: ${failure.message}`,
    patientId: run.patientId,
    resource: run.resource,
    commandId: run.commandId,
  });
}
