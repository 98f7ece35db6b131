import type { Task, TaskOutput } from '@medplum/fhirtypes';
import { commandIdOf } from '../commands/canonical.ts';
import { parseCommand } from '../commands/command.ts';
import type { Version } from '../commands/history.ts';
import { type ApproverRole, APPROVER_ROLES, type Command } from '../commands/kind.ts';
import { handedIn, wasDeleted } from '../commands/queued.ts';
import { hasType, type QueuedCommand, taskOutputs } from '../commands/task.ts';
import { parseReference } from '../ids.ts';
import { DECISIONS, type Decision, type State } from './states.ts';
import { isTampered } from './tampering.ts';

/** Who writes what: the only authors whose versions of a Task count. */
export interface Authors {
  namespace: string;
  /** `Bot/id` of the Command Processor Bot: it makes the first version. */
  processor: string;
  /** `Bot/id` of the Approval Queue Bot: it writes down every state. */
  queue: string;
}

export interface Approval {
  /** `Practitioner/id` */
  who: string;
  roles: ApproverRole[];
}

/** What people did to a Task by hand since this bot last wrote it. */
export type ByHand =
  /** Nothing that matters. */
  | { kind: 'nothing' }
  /** Somebody set it to accepted: an approval, if they may. */
  | {
      kind: 'accepted';
      author: string | undefined;
      onBehalfOf: string | undefined;
      /** The hash of the modified command that the accepted version carries, by which they had it before them. */
      modifiedSha256: string | undefined;
    }
  /** Somebody ended it; that always holds. */
  | {
      kind: 'stopped';
      /** `Type/id` of who did, as the server attests it. */
      author: string | undefined;
      status: Task['status'];
    }
  /** Somebody put it aside for now. */
  | { kind: 'paused' };

/** A Task that is what it seems. */
export interface Standing {
  trusted: true;
  /** The first version, which the Command Processor wrote. */
  original: Task;
  /** The version that stands now, whoever wrote it. */
  current: Task;
  queued: QueuedCommand & { commandId: string; text: string };
  command: Command;
  state: State;
  approvals: Approval[];
  /** What an approver made of the command. */
  modified: { text: string; sha256: string; command: Command } | undefined;
  claim: { id: string; decision: Decision; since: number } | undefined;
  /** `Practitioner/id` of who rejected or withdrew. */
  decidedBy: string | undefined;
  /** What this bot wrote down of reasons and results. */
  own: Task;
  byHand: ByHand;
}

/** A Task that nothing may be run by. */
export interface Untrusted {
  trusted: false;
  reason: 'DELETED' | 'FORGED' | 'TAMPERED';
  current: Task | undefined;
  /** The first version, where it was the Command Processor's. */
  original: Task | undefined;
  /** Whether this bot has ended it already. */
  ended: boolean;
}

/**
 * What a Task is, told by its history alone.
 *
 * The first version must be the Command Processor's, and its command is the one that counts. States, approvals and
 * claims count only where this bot wrote them. Whatever else people write is a wish.
 * @param versions - Newest first.
 */
export function standingOf(versions: readonly Version<Task>[], authors: Authors): Standing | Untrusted {
  const newest = versions[0]?.resource;
  const first = versions.at(-1);
  const owns = versions.filter(({ author }) => author === authors.queue).map(({ resource }) => resource);
  const latestOwn = owns[0];
  const untrusted = (reason: Untrusted['reason'], original?: Task): Untrusted => ({
    trusted: false,
    reason,
    current: newest,
    original,
    ended: latestOwn !== undefined && ENDED.includes(latestOwn.status),
  });
  if (newest === undefined || wasDeleted(versions)) {
    return untrusted('DELETED');
  }
  const original = first?.resource as Task;
  const queued = handedIn(first, authors.namespace, authors.processor);
  const command = parsed(queued?.text);
  if (!queued || !command || !agrees(original, command)) {
    return untrusted('FORGED');
  }
  const own = latestOwn ?? original;
  const state = stateOf(own, authors.namespace);
  const byHand = handOf(versions, own, authors);
  // Once it is claimed, what people write comes too late to change anything.
  const open = state === 'awaiting-approval' || state === 'awaiting-second';
  if (state === undefined || (open && (byHand === 'pretended' || isTampered(versions, original, authors)))) {
    return untrusted('TAMPERED', original);
  }
  const outputs = (code: string): TaskOutput[] => taskOutputs(own, authors.namespace, code);
  return {
    trusted: true,
    original,
    current: newest,
    queued,
    command,
    state,
    approvals: outputs('approval').map((output) => approvalOf(output, authors.namespace)),
    modified: modifiedOf(outputs('modified-command')[0]?.valueString),
    claim: claimOf(outputs('claim')[0]?.valueString, outputs('decision')[0]?.valueCode, own),
    decidedBy: outputs('decided-by')[0]?.valueReference?.reference,
    own,
    byHand: byHand === 'pretended' ? { kind: 'nothing' } : byHand,
  };
}

const ENDED: readonly string[] = ['completed', 'rejected', 'cancelled', 'failed'];
/** Statuses by which a person puts an end to it. */
export const STOPPED: readonly string[] = ['rejected', 'cancelled', 'failed', 'entered-in-error'];

/** Whether a Task concerns whom its command concerns. */
function agrees(task: Task, command: Command): boolean {
  const encounter = command.encounterId === undefined ? undefined : `Encounter/${command.encounterId}`;
  return (
    task.for?.reference === `Patient/${command.patientId}` &&
    task.encounter?.reference === encounter &&
    (task.code?.coding ?? []).some(({ code }) => code === command.name)
  );
}

function parsed(text: string | undefined): Command | undefined {
  try {
    return text === undefined ? undefined : parseCommand(text);
  } catch {
    return undefined;
  }
}

function stateOf(own: Task, namespace: string): State | undefined {
  switch (own.status) {
    case 'requested':
      return hasType(own.businessStatus, `${namespace}/task-status`, 'awaiting-second')
        ? 'awaiting-second'
        : 'awaiting-approval';
    case 'in-progress':
      return 'executing';
    case 'completed':
      return 'executed';
    case 'rejected':
      return 'rejected';
    case 'cancelled':
      return 'withdrawn';
    case 'failed':
      return 'failed';
    default:
      return undefined;
  }
}

/** What the versions after this bot's last one say; `pretended` where one claims what only this bot does. */
function handOf(
  versions: readonly Version<Task>[],
  own: Task,
  { namespace, queue }: Authors
): ByHand | 'pretended' {
  if (ENDED.includes(own.status)) {
    return { kind: 'nothing' };
  }
  const since = versionsSince(versions, own);
  const status = since[0]?.resource?.status ?? own.status;
  const pretends = own.status !== 'in-progress' && (status === 'completed' || status === 'in-progress');
  // A run that takes a claim over writes over what it finds; an end that somebody put to it since the first holds.
  const owns = versions.filter(({ author }) => author === queue).map(({ resource }) => resource);
  const claims = owns.slice(0, lengthWhile(owns, (version) => version?.status === 'in-progress'));
  const sinceClaim = versionsSince(versions, claims.at(-1) ?? own);
  // Whoever ends it ends it for good, and nobody revives it by setting it back.
  if (!pretends && sinceClaim.some(({ resource }) => STOPPED.includes(resource?.status ?? ''))) {
    return { kind: 'stopped', ...stopOf(sinceClaim) };
  }
  if (status === own.status) {
    return { kind: 'nothing' };
  }
  switch (status) {
    case 'accepted': {
      // Who made it accepted, not who edited it afterwards.
      const accepted = since.slice(0, lengthWhile(since, ({ resource }) => resource?.status === 'accepted')).at(-1);
      const { author, onBehalfOf, resource } = accepted as Version<Task>;
      const modifiedSha256 = taskOutputs(resource, namespace, 'modified-command-sha256')[0]?.valueString;
      return { kind: 'accepted', author, onBehalfOf, modifiedSha256 };
    }
    case 'completed':
    case 'in-progress':
      return 'pretended';
    default:
      return { kind: 'paused' };
  }
}

/** The versions after one, newest first. */
function versionsSince(versions: readonly Version<Task>[], one: Task): readonly Version<Task>[] {
  return versions.slice(0, versions.findIndex(({ resource }) => resource?.meta?.versionId === one.meta?.versionId));
}

/** Who ended a Task, and how: the first who did, whatever others made of it since. */
function stopOf(since: readonly Version<Task>[]): { author: string | undefined; status: Task['status'] } {
  const stop = since.filter(({ resource }) => STOPPED.includes(resource?.status ?? '')).at(-1);
  return { author: stop?.author, status: stop?.resource?.status ?? 'cancelled' };
}

function lengthWhile<T>(values: readonly T[], holds: (value: T) => boolean): number {
  const end = values.findIndex((value) => !holds(value));
  return end === -1 ? values.length : end;
}

function approvalOf({ valueReference, extension }: TaskOutput, namespace: string): Approval {
  const codes = (extension ?? [])
    .filter(({ url }) => url === `${namespace}/approver-role`)
    .map(({ valueCode }) => valueCode);
  return { who: valueReference?.reference ?? '', roles: APPROVER_ROLES.filter((role) => codes.includes(role)) };
}

function modifiedOf(text: string | undefined): Standing['modified'] {
  const command = parsed(text);
  return text === undefined || command === undefined ? undefined : { text, sha256: commandIdOf(text), command };
}

function claimOf(id: string | undefined, code: string | undefined, own: Task): Standing['claim'] {
  const decision = DECISIONS.find((each) => each === code);
  return id === undefined || decision === undefined
    ? undefined
    : { id, decision, since: Date.parse(own.meta?.lastUpdated ?? '') };
}

/** `Practitioner/id` of the person who handed a command in; undefined where a bot did. */
export function humanAuthor({ original }: Standing): string | undefined {
  const reference = original.requester?.reference;
  return parseReference(reference)?.resourceType === 'Practitioner' ? reference : undefined;
}
