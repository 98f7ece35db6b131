import type { Task } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import { parseReference } from '../ids.ts';
import type { BotRun, WorkOutput } from '../run.ts';
import { assess } from './assess.ts';
import { type Effect, findEffects, referenceTo, versionOf, writeEffects } from './carry-out.ts';
import type { Submitted } from './command.ts';
import { readFacts } from './facts.ts';
import { identifierTaken } from './history.ts';
import type { ApprovalRule, BlockReason, Command, Facts } from './kind.ts';
import { kindOf } from './kinds.ts';
import { findCommandBots } from './own-bots.ts';
import { provenance } from './provenance.ts';
import { apartFrom, findQueued, isQueueFull, type Queued, type TaskAuthors } from './queued.ts';
import { queueTask } from './task.ts';
import { resolved, write, writeOwn } from './writing.ts';

/** Statuses of a Task that waits for nobody any more, though nothing came of it. */
const ENDED: readonly string[] = ['failed', 'rejected', 'cancelled', 'entered-in-error'];

/**
 * Checks a command in the order that the bot's page tells, then carries it out or queues it.
 * @throws BotFailure UNAUTHORIZED or AUDIT_UNAVAILABLE before anything is done; INVALID_INPUT,
 * PATIENT_NOT_FOUND and others
 */
export async function processCommand(run: BotRun, submitted: Submitted): Promise<WorkOutput> {
  run.patientId = submitted.patientId;
  run.commandId = submitted.commandId;
  // Whose command it is decides who may not approve it, and a project admin could choose that by a header.
  if (run.onBehalfOf !== undefined) {
    throw new BotFailure('UNAUTHORIZED', 'Nobody hands in a command on behalf of somebody else', {
      reason: 'ON_BEHALF_OF',
    });
  }
  await run.audit.require({ type: 'command_received', action: 'E', outcome: '0', ...trail(submitted) });
  try {
    return await decide(run, submitted);
  } catch (error) {
    // A mistake in an input is not audited for other bots; here it may be somebody who tries other patients' ids.
    if (error instanceof BotFailure && error.code === 'INVALID_INPUT') {
      run.audit.note({
        type: 'command_blocked',
        action: 'E',
        outcome: '4',
        outcomeDesc: `${error.code}: ${error.message}`,
        ...trail(submitted),
      });
    }
    if (error instanceof BotFailure && error.details?.reason === 'IDENTIFIER_TAKEN') {
      return blocked(run, submitted, 'IDENTIFIER_TAKEN', []);
    }
    throw error;
  }
}

async function decide(run: BotRun, submitted: Submitted): Promise<WorkOutput> {
  const { command, patientId, encounterId, sources } = submitted;
  const now = new Date();
  const facts = await readFacts(run, { patientId, encounterId, sources }, command);
  const { blocked: reason, rule, warnings } = assess(submitted, facts, run.secrets, now);
  if (reason !== undefined || command === undefined) {
    return blocked(run, submitted, reason ?? 'UNKNOWN_COMMAND', warnings);
  }
  const device = await run.device();
  if (device === undefined) {
    throw new BotFailure('NOT_CONFIGURED', 'There is no Device for the model, or it may not be read');
  }
  const all = await findCommandBots(run);
  const authors = { processor: run.reference, queue: all.get('approval-queue') };
  const { queued, forged } = await findQueued(run, submitted.commandId, authors);
  warnings.push(...reportForged(run, submitted, forged));
  const kind = kindOf(command.name);
  if (kind.automatic && !queued?.isWithTheQueue) {
    const bots = [run.reference, ...all.values()];
    // What was carried out once may have become a matter for approval since; it is not queued to be done again.
    const complete = (await findEffects(run, command, submitted.commandId, bots)).size === kind.makes.length;
    // What waited, or was waited for in vain, may need nobody any more: a result that was preliminary is final now.
    const unapproved = rule.reasons.length === 0 && !queued?.isRefused;
    if (unapproved || complete) {
      return execute(run, submitted, command, { facts, device, now, bots }, complete, warnings);
    }
  }
  if (queued !== undefined) {
    return duplicateOf(run, submitted, queued, warnings);
  }
  if (await isQueueFull(run, patientId, authors)) {
    return blocked(run, submitted, 'OPEN_TASK_LIMIT', warnings);
  }
  const apart = apartFrom(submitted.commandId, forged);
  return queue(run, submitted, command, { facts, device, now, rule, apart, authors }, warnings);
}

interface Means {
  facts: Facts;
  device: string;
  now: Date;
}

async function execute(
  run: BotRun,
  submitted: Submitted,
  command: Command,
  { facts, device, now, bots }: Means & { bots: readonly string[] },
  before: boolean,
  warnings: string[]
): Promise<WorkOutput> {
  const { namespace } = run;
  const { commandId } = submitted;
  const references = new Map<string, string>();
  const context = { namespace, commandId, device, facts, now: now.toISOString(), approvers: [], prepared: undefined };
  const effects = await writeEffects(run, command, context, bots, references);
  const main = effects.at(-1) as Effect;
  const origin = provenance({
    targets: effects.map(({ resource }) => referenceTo(resource)),
    activity: 'CREATE',
    device,
    verifiers: [],
    sources: basisOf(command, submitted.sources),
    versions: effects.map(versionOf),
    now: now.toISOString(),
  });
  // What somebody else said beforehand of the same is not where it comes from.
  const said = await writeOwn(run, resolved(origin, references), bots);
  const duplicate = before || !main.created;
  if (!duplicate) {
    run.audit.note({
      type: 'command_executed',
      action: 'C',
      outcome: '0',
      resource: referenceTo(main.resource),
      ...trail(submitted),
    });
  }
  return {
    action: 'executed',
    commandId,
    executedResourceId: main.resource.id,
    executedResourceType: main.resource.resourceType,
    provenanceId: said.resource.id,
    ...(duplicate ? { duplicate: true } : {}),
    warnings,
  };
}

async function queue(
  run: BotRun,
  submitted: Submitted,
  command: Command,
  { facts, device, now, rule, apart, authors }: Means & {
    rule: ApprovalRule;
    apart: string | undefined;
    authors: TaskAuthors;
  },
  warnings: string[]
): Promise<WorkOutput> {
  const kind = kindOf(command.name);
  const target = kind.target?.(command.parameters);
  const requester = run.requester?.startsWith('Practitioner/') ? run.requester : device;
  const entry = queueTask({
    ...submitted,
    namespace: run.namespace,
    focus: kind.focus(command),
    requester,
    rule,
    priority: priorityOf(command),
    targetVersion: target && facts.records.get(target)?.meta?.versionId,
    apart,
    now,
  });
  const written = await write(run, entry);
  const task = (written as { resource: Task }).resource;
  if (written.changed || !written.created) {
    const { queued } = await findQueued(run, submitted.commandId, authors);
    if (queued === undefined) {
      throw identifierTaken(task);
    }
    return duplicateOf(run, submitted, queued, warnings);
  }
  run.audit.note({
    type: 'command_queued',
    action: 'C',
    outcome: '0',
    resource: referenceTo(task),
    ...trail(submitted),
  });
  return { action: 'queued', commandId: submitted.commandId, taskId: task.id, status: task.status, warnings };
}

/** Tasks that pass for the command's own are told of, loudly, and count for nothing. */
function reportForged(run: BotRun, submitted: Submitted, forged: readonly string[]): string[] {
  for (const resource of forged) {
    run.audit.note({
      type: 'approval_refused',
      action: 'E',
      outcome: '8',
      outcomeDesc: "SAFETY_BLOCKED: FORGED: a Task that this bot did not make carries the command's identifier",
      resource,
      ...trail(submitted),
    });
  }
  return forged.length === 0 ? [] : ['FORGED_TASK_IGNORED'];
}

function duplicateOf(run: BotRun, submitted: Submitted, queued: Queued, warnings: string[]): WorkOutput {
  const { task, own, isWithTheQueue } = queued;
  const result = (own.output ?? []).find(({ type }) =>
    type?.coding?.some(({ system, code }) => system === `${run.namespace}/task-output` && code === 'result')
  )?.valueReference?.reference;
  const executed = parseReference(result);
  const done = isWithTheQueue && own.status === 'completed';
  const over = !isWithTheQueue && ENDED.includes(task.status);
  return {
    action: done ? 'executed' : over ? 'ended' : 'queued',
    commandId: submitted.commandId,
    taskId: task.id,
    status: done ? own.status : task.status,
    ...(executed ? { executedResourceId: executed.id, executedResourceType: executed.resourceType } : {}),
    duplicate: true,
    warnings: over ? [...warnings, 'EARLIER_TASK_ENDED'] : warnings,
  };
}

function blocked(run: BotRun, submitted: Submitted, reason: BlockReason, warnings: string[]): WorkOutput {
  run.audit.note({
    type: 'command_blocked',
    action: 'E',
    outcome: '4',
    outcomeDesc: `SAFETY_BLOCKED: ${reason}`,
    ...trail(submitted),
  });
  return {
    success: false,
    errorCode: 'SAFETY_BLOCKED',
    message: `The command is blocked: ${reason}`,
    action: 'blocked',
    commandId: submitted.commandId,
    blockReason: reason,
    warnings,
  };
}

/** What a command is about and what it cites. */
export function basisOf(command: Command, sources: readonly string[]): string[] {
  const focus = kindOf(command.name).focus(command);
  return [...new Set([...(focus === undefined ? [] : [focus]), ...sources])];
}

function priorityOf({ parameters }: Command): NonNullable<Task['priority']> {
  const { severity, urgency } = parameters as { severity?: string; urgency?: Task['priority'] };
  return severity === 'critical' ? 'stat' : (urgency ?? 'routine');
}

/** What the audit trail is told of a command: never its content. */
function trail(submitted: Submitted): {
  patientId: string;
  encounterId: string | undefined;
  commandId: string;
  confidence: number;
  detail: Record<string, string | number>;
} {
  return {
    patientId: submitted.patientId,
    encounterId: submitted.encounterId,
    commandId: submitted.commandId,
    confidence: submitted.confidence,
    detail: {
      // A name that is not known comes from the caller, and may say anything.
      command: submitted.command ? submitted.name : 'unknown',
      'command-length': submitted.text.length,
      ...(submitted.sources.length === 0 ? {} : { sources: submitted.sources.length }),
    },
  };
}

