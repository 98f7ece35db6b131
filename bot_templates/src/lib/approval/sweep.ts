import type { Task } from '@medplum/fhirtypes';
import { APPROVAL_CODE, OPEN_STATUSES, TASK_CODE_SYSTEM } from '../commands/task.ts';
import { asFailure, type BotFailure } from '../failure.ts';
import { searchPage } from '../fhir.ts';
import { type BotRun, failureRecord, type WorkOutput } from '../run.ts';
import { endUntrusted, isExpired } from './end.ts';
import { heed } from './events.ts';
import { loadStanding, untrustedRefusal } from './load.ts';
import { recover, STALE_MS } from './recover.ts';
import type { Authors } from './standing.ts';

/** Tasks of one page, pages of one sweep, Tasks that one sweep looks into, and for how long it does. */
const PAGE = 200;
const MOST_PAGES = 10;
const MOST_TASKS = 100;
const SWEEP_MS = 60_000;

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
  /** Tasks that need attention and are left to the next sweep. */
  remaining: number;
}

/** Looks after the queue: what is over expires, what a crash left is finished, what was accepted is carried out. */
export async function sweep(run: BotRun, authors: Authors, device: string): Promise<Sweep> {
  const started = Date.now();
  const done: Sweep = { checked: 0, expired: 0, recovered: 0, accepted: 0, failed: 0, remaining: 0 };
  const open = await openTasks(run);
  done.checked = open.length;
  const urgent = open.filter((task) => needsAttention(task, started));
  for (const [index, { id }] of urgent.entries()) {
    if (index >= MOST_TASKS || Date.now() - started > SWEEP_MS) {
      done.remaining = urgent.length - index;
      break;
    }
    try {
      await sweepTask(run, authors, device, id as string, done);
    } catch (error) {
      const failure = asFailure(error, 'DB_ERROR');
      run.log(`${failure.code} Task/${id} ${run.requestId}`);
      noteRefusal(run, failure);
      done.failed++;
    }
  }
  return done;
}

async function openTasks(run: BotRun): Promise<Task[]> {
  const tasks: Task[] = [];
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = new URLSearchParams({
      code: `${TASK_CODE_SYSTEM}|${APPROVAL_CODE}`,
      status: OPEN_STATUSES.join(),
      _fields: 'id,meta,status,restriction',
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

async function sweepTask(run: BotRun, authors: Authors, device: string, id: string, done: Sweep): Promise<void> {
  // What is noted about this Task must not name whom the one before concerned.
  run.patientId = undefined;
  run.commandId = undefined;
  const standing = await loadStanding(run, id, authors);
  if (!standing.trusted) {
    if (await endUntrusted(run, standing)) {
      noteRefusal(run, untrustedRefusal(standing));
      done.failed++;
    }
  } else if (standing.state === 'executing') {
    done.recovered += (await recover(run, authors, device, standing)) === undefined ? 0 : 1;
  } else {
    const over = isExpired(standing);
    const accepted = standing.byHand.kind === 'accepted';
    const { ignored } = await heed(run, authors, device, standing);
    done.expired += over ? 1 : 0;
    done.accepted += !over && accepted && !ignored ? 1 : 0;
  }
}
