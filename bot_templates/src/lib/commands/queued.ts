import type { Task } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import { searchPage } from '../fhir.ts';
import { sha256 } from '../hash.ts';
import type { BotRun } from '../run.ts';
import { commandIdOf } from './canonical.ts';
import { identifierTaken, readHistory, type Version } from './history.ts';
import {
  APPROVAL_CODE,
  hasType,
  isApprovalTask,
  OPEN_STATUSES,
  type QueuedCommand,
  readTask,
  TASK_CODE_SYSTEM,
} from './task.ts';
import { byIdentifier, commandIdentifier } from './writes.ts';

/** `Bot/id` of those whose versions of a Task count. */
export interface TaskAuthors {
  processor: string;
  /** undefined where there is no Approval Queue Bot, or several. */
  queue: string | undefined;
}

/** The Task of a command, as its history tells. */
export interface Queued {
  /** As it stands. */
  task: Task;
  /** Its last version by one of our bots: results count from there alone. */
  own: Task;
  /** Whether the Approval Queue Bot is carrying the command out, or has. */
  isWithTheQueue: boolean;
  /** Whether a person said no, themselves or by the Approval Queue Bot. An application that sets a status is nobody. */
  isRefused: boolean;
}

/** Every Task that carries a command's identifier. */
export interface Found {
  queued: Queued | undefined;
  /** `Task/id` of those that the Command Processor Bot did not make, or not for this command. */
  forged: string[];
}

/** Tasks of one identifier whose history is read; whoever makes more of them is reported, and nothing goes on. */
const MOST = 20;
/** Commands of one patient that may wait at a time: a queue that nobody can read through protects nobody. */
const MOST_OPEN = 10;
/** Open Tasks of a patient that are looked through for as many. */
const MOST_LOOKED = 50;
/** Statuses by which somebody says no. */
const REFUSED: readonly string[] = ['rejected', 'cancelled', 'entered-in-error'];

/**
 * The Task of the same command, whatever became of it. Who made it tells its first version, and nothing else: anybody
 * can work out a command's id and write it on a Task, after which the command would seem to wait.
 * @throws BotFailure SAFETY_BLOCKED with `details.reason` IDENTIFIER_TAKEN when there are too many to look into.
 */
export async function findQueued(run: BotRun, commandId: string, authors: TaskAuthors): Promise<Found> {
  const query = `${byIdentifier(commandIdentifier(run.namespace, commandId))}&_count=${MOST + 1}`;
  const page = await searchPage<Task>(run.medplum, 'Task', query, 'DB_ERROR');
  const tasks = (page.entry ?? []).map(({ resource }) => resource).filter((task) => task !== undefined);
  if (tasks.length > MOST) {
    throw identifierTaken(tasks[0] as Task);
  }
  const found: Found = { queued: undefined, forged: [] };
  for (const task of tasks) {
    const versions = await readHistory<Task>(run, 'Task', task.id as string);
    if (commandOf(run, versions, authors.processor) !== commandId) {
      found.forged.push(`Task/${task.id}`);
    } else if (found.queued === undefined || isEarlier(task, found.queued.task)) {
      found.queued = queuedOf(run, task, versions, authors);
    }
  }
  found.forged.sort();
  return found;
}

/** What keeps a command from being queued twice where forged Tasks make its own identifier useless for that. */
export function apartFrom(commandId: string, forged: readonly string[]): string | undefined {
  return forged.length === 0 ? undefined : sha256([commandId, ...forged].join(' '));
}

/**
 * The id of the command that a Task holds, as the Command Processor Bot queued it.
 * @param versions - Newest first.
 * @returns undefined for a Task that another made, or that somebody deleted and put back.
 */
export function commandOf(run: BotRun, versions: readonly Version<Task>[], processor: string | undefined): string | undefined {
  return wasDeleted(versions) ? undefined : handedIn(versions.at(-1), run.namespace, processor)?.commandId;
}

/** Whether a Task was deleted, now or once: what is put back under its id may say anything. */
export function wasDeleted(versions: readonly Version<Task>[]): boolean {
  return versions.some(({ resource }) => resource === undefined);
}

/**
 * The command of a Task by its first version, if the Command Processor Bot wrote that, for this very command.
 * @param processor - `Bot/id`; undefined where there is none, or several.
 */
export function handedIn(
  first: Version<Task> | undefined,
  namespace: string,
  processor: string | undefined
): (QueuedCommand & { commandId: string; text: string }) | undefined {
  const task = first?.resource;
  if (task === undefined || processor === undefined || first?.author !== processor || !isApprovalTask(task)) {
    return undefined;
  }
  const queued = readTask(task, namespace);
  const { commandId, sha256: hash, text } = queued;
  if (!text || commandId === undefined || commandIdOf(text) !== commandId || hash !== commandId) {
    return undefined;
  }
  return { ...queued, commandId, text };
}

/**
 * Whether as many commands of a patient wait as may. Only those count that the Command Processor Bot queued: else
 * whoever makes some Tasks that look like it keeps back every command of the patient.
 */
export async function isQueueFull(run: BotRun, patientId: string, { processor }: TaskAuthors): Promise<boolean> {
  const query = new URLSearchParams({
    patient: `Patient/${patientId}`,
    code: `${TASK_CODE_SYSTEM}|${APPROVAL_CODE}`,
    status: OPEN_STATUSES.join(),
    _count: String(MOST_LOOKED),
    _fields: 'status',
  });
  const { entry: open = [] } = await searchPage<Task>(run.medplum, 'Task', query.toString(), 'DB_ERROR');
  let left = open.length;
  let waiting = 0;
  for (const { resource } of open) {
    if (waiting + left < MOST_OPEN || waiting === MOST_OPEN) {
      break;
    }
    waiting += (await isQueued(run, resource?.id as string, processor)) ? 1 : 0;
    left--;
  }
  return waiting === MOST_OPEN;
}

/** Whether a Task holds a command that can still be approved. */
async function isQueued(run: BotRun, taskId: string, processor: string): Promise<boolean> {
  try {
    return commandOf(run, await readHistory<Task>(run, 'Task', taskId), processor) !== undefined;
  } catch (error) {
    if (error instanceof BotFailure && error.details?.reason === 'HISTORY_TOO_LONG') {
      return false;
    }
    throw error;
  }
}

function isEarlier(one: Task, other: Task): boolean {
  return (one.authoredOn ?? '') < (other.authoredOn ?? '');
}

function queuedOf(run: BotRun, task: Task, versions: readonly Version<Task>[], { queue }: TaskAuthors): Queued {
  const own = versions.find(({ author }) => author !== undefined && author === queue)?.resource;
  return {
    task,
    own: own ?? (versions.at(-1)?.resource as Task),
    isWithTheQueue: own !== undefined && ['in-progress', 'completed'].includes(own.status),
    isRefused: versions.some(
      (version, index) => isRefusal(version, versions[index + 1]) && isByPerson(run, version, queue)
    ),
  };
}

/** Whether a version is the one that ended a Task. */
function isRefusal({ resource }: Version<Task>, before: Version<Task> | undefined): boolean {
  const refuses = (status: string | undefined): boolean => REFUSED.includes(status ?? '');
  return refuses(resource?.status) && !refuses(before?.resource?.status);
}

/**
 * Whether a person wrote a version, or the Approval Queue Bot for one, whom it names then. What that bot writes to keep
 * a Task ended that somebody had ended and somebody set back says nothing of who it was.
 */
function isByPerson(run: BotRun, { resource, author }: Version<Task>, queue: string | undefined): boolean {
  const named = (resource?.output ?? []).some(({ type }) => hasType(type, `${run.namespace}/task-output`, 'decided-by'));
  return author !== undefined && (author.startsWith('Practitioner/') || (author === queue && named));
}
