import type { Provenance, Task } from '@medplum/fhirtypes';
import { APPROVAL_CODE, hasType, OPEN_STATUSES, TASK_CODE_SYSTEM } from '../commands/task.ts';
import { isOwn } from '../commands/writing.ts';
import { asFailure, type BotFailure } from '../failure.ts';
import { searchPage } from '../fhir.ts';
import { type BotRun, failureRecord, type WorkOutput } from '../run.ts';
import { answer } from './answer.ts';
import { endUntrusted, isExpired } from './end.ts';
import { heed } from './events.ts';
import { loadStanding, untrustedRefusal } from './load.ts';
import { completeOrigin, unversioned } from './origin.ts';
import { recover, STALE_MS } from './recover.ts';
import { type Authors, type Standing, STOPPED } from './standing.ts';
import { recordStop, type Stopped } from './stopped.ts';

/** Tasks of one page, pages of one sweep, Tasks that one sweep looks into, and for how long it does. */
const PAGE = 200;
const MOST_PAGES = 10;
const MOST_TASKS = 100;
const SWEEP_MS = 60_000;
/** How long after its end a Task is looked at again for what a run left out, or an event did not report. */
const RECENT_MS = 24 * 3_600_000;
/** Ids of one search. */
const IDS = 50;

/** What a sweep did. */
export interface Sweep extends WorkOutput {
  /** Open Tasks that were looked at. */
  checked: number;
  expired: number;
  /** Decisions of runs that were gone, carried out. */
  recovered: number;
  /** Acceptances that no event had reported, carried out. */
  accepted: number;
  /** Tasks that nothing may be run by, or that could not be brought to an end. */
  failed: number;
  /** Tasks of the last day that had ended without all that belongs to it, and have it now. */
  completed: number;
  /** Tasks that need attention and are left to the next sweep. */
  remaining: number;
}

/** Looks after the queue: what is over expires, what a crash left is finished, what was accepted is carried out. */
export async function sweep(run: BotRun, authors: Authors, device: string): Promise<Sweep> {
  const started = Date.now();
  const done: Sweep = { checked: 0, expired: 0, recovered: 0, accepted: 0, failed: 0, completed: 0, remaining: 0 };
  // Of a queue too long for one sweep, decisions come before what nobody has looked at.
  const open = [...(await tasksOf(run, DECIDED_STATUSES)), ...(await tasksOf(run, WAITING_STATUSES))];
  done.checked = open.length;
  const ended = await lacking(run, device, await tasksOf(run, ENDED_STATUSES, new Date(started - RECENT_MS)));
  const urgent = [...open.filter((task) => needsAttention(task, started)), ...ended];
  for (const [index, task] of urgent.entries()) {
    if (index >= MOST_TASKS || Date.now() - started > SWEEP_MS) {
      done.remaining = urgent.length - index;
      break;
    }
    try {
      await sweepTask(run, authors, device, task, done);
    } catch (error) {
      const failure = asFailure(error, 'DB_ERROR');
      run.log(`${failure.code} Task/${task.id} ${run.requestId}`);
      noteRefusal(run, failure);
      done.failed++;
    }
  }
  return done;
}

/** Statuses under which somebody has decided something that is not carried out yet. */
const DECIDED_STATUSES = ['accepted', 'in-progress'];
const WAITING_STATUSES = OPEN_STATUSES.filter((status) => !DECIDED_STATUSES.includes(status));
/** Statuses under which a Task has come to its end, by this bot or by hand. */
const ENDED_STATUSES = ['completed', ...STOPPED];

/**
 * Of Tasks that have ended, those that this bot has not written the last word of: ended by hand, or completed in a
 * transaction whose run did not live to write which versions it made.
 */
async function lacking(run: BotRun, device: string, ended: readonly Task[]): Promise<Task[]> {
  const others = ended.filter((task) => !isOwn(run, task));
  // A decision may be left whose run was gone before somebody ended the Task, or called it completed.
  const claimed = others.filter((task) => isClaimed(run, task));
  const stopped = others.filter((task) => STOPPED.includes(task.status) && !isClaimed(run, task));
  const byHand = [...claimed, ...(await unrecorded(run, device, stopped))];
  const completed = new Map<string, Task>();
  for (const task of ended) {
    const { provenanceId } = answer(run.namespace, task, []);
    if (task.status === 'completed' && provenanceId !== undefined) {
      completed.set(provenanceId, task);
    }
  }
  const ids = [...completed.keys()];
  const found: Task[] = [];
  for (let index = 0; index < ids.length; index += IDS) {
    const said = await unversioned(run, ids.slice(index, index + IDS));
    found.push(...said.map(({ id }) => completed.get(id as string)).filter((task) => task !== undefined));
  }
  return [...byHand, ...found];
}

function isClaimed(run: BotRun, { output = [] }: Task): boolean {
  return output.some(({ type }) => hasType(type, `${run.namespace}/task-output`, 'claim'));
}

/** Of Tasks that were ended by hand, those of which that is not written down yet, told without their histories. */
async function unrecorded(run: BotRun, device: string, stopped: readonly Task[]): Promise<Task[]> {
  const recorded = new Set<string | undefined>();
  for (let index = 0; index < stopped.length; index += IDS) {
    const target = stopped.slice(index, index + IDS).map(({ id }) => `Task/${id}`);
    const query = new URLSearchParams({ target: target.join(), agent: device, _count: String(2 * IDS) });
    const { entry = [] } = await searchPage<Provenance>(run.medplum, 'Provenance', query.toString(), 'DB_ERROR');
    const origins = entry.map(({ resource }) => resource).filter((each) => each !== undefined && isOwn(run, each));
    origins.flatMap((each) => each?.target ?? []).forEach(({ reference }) => recorded.add(reference));
  }
  return stopped.filter(({ id }) => !recorded.has(`Task/${id}`));
}

/** @param since - Only those that were changed since. */
async function tasksOf(run: BotRun, statuses: readonly string[], since?: Date): Promise<Task[]> {
  const tasks: Task[] = [];
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = new URLSearchParams({
      code: `${TASK_CODE_SYSTEM}|${APPROVAL_CODE}`,
      status: statuses.join(),
      ...(since === undefined ? {} : { _lastUpdated: `ge${since.toISOString()}` }),
      _fields: 'id,meta,status,restriction,output',
      _sort: '_lastUpdated',
      _count: String(PAGE),
      _offset: String(page * PAGE),
    });
    const { entry = [] } = await searchPage<Task>(run.medplum, 'Task', query.toString(), 'DB_ERROR');
    tasks.push(...entry.map(({ resource }) => resource).filter((task) => task !== undefined));
    if (entry.length < PAGE) {
      break;
    }
  }
  return tasks;
}

/** By what the Task says of itself, which its history may contradict: a first choice, no more. */
function needsAttention({ status, restriction, meta }: Task, now: number): boolean {
  const over = !(Date.parse(restriction?.period?.end ?? '') > now);
  const stale = now - Date.parse(meta?.lastUpdated ?? '') > STALE_MS;
  return over || status === 'accepted' || (status === 'in-progress' && stale);
}

/** A refusal is noted as it is where an event or a person brings it about; what may go better later is not one. */
function noteRefusal(run: BotRun, failure: BotFailure): void {
  if (failure.code === 'SAFETY_BLOCKED' || failure.code === 'UNAUTHORIZED') {
    run.audit.note(failureRecord(run, failure));
  }
}

async function sweepTask(run: BotRun, authors: Authors, device: string, task: Task, done: Sweep): Promise<void> {
  // What is noted about this Task must not name whom the one before concerned.
  run.patientId = undefined;
  run.commandId = undefined;
  const standing = await loadStanding(run, task.id as string, authors);
  const ended = ENDED_STATUSES.includes(task.status);
  if (!standing.trusted) {
    // A forgery that has come to rest asks for nothing.
    if (!ended && (await endUntrusted(run, standing))) {
      noteRefusal(run, untrustedRefusal(standing));
      done.failed++;
    }
  } else if (standing.state === 'executing') {
    done.recovered += (await recover(run, authors, device, standing)) === undefined ? 0 : 1;
  } else if (ended) {
    done.completed += (await completeEnd(run, authors, device, standing)) ? 1 : 0;
  } else {
    const over = isExpired(standing);
    const accepted = standing.byHand.kind === 'accepted';
    const { ignored } = await heed(run, authors, device, standing);
    done.expired += over ? 1 : 0;
    done.accepted += !over && accepted && !ignored ? 1 : 0;
  }
}

async function completeEnd(run: BotRun, authors: Authors, device: string, standing: Standing): Promise<boolean> {
  return standing.byHand.kind === 'stopped'
    ? recordStop(run, standing as Stopped, device)
    : completeOrigin(run, authors, standing);
}
