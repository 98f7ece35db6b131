import type { Task } from '@medplum/fhirtypes';
import { isApprovalTask } from '../commands/task.ts';
import { write } from '../commands/writing.ts';
import { asFailure } from '../failure.ts';
import { readCurrent } from '../fhir.ts';
import type { BotRun, WorkOutput } from '../run.ts';
import { answer } from './answer.ts';
import { decide } from './decide.ts';
import { endUntrusted, expire, isExpired, tellEnd } from './end.ts';
import { loadStanding, untrustedRefusal } from './load.ts';
import { completeOrigin } from './origin.ts';
import { type Authors, type Standing, STOPPED } from './standing.ts';
import { recordStop, type Stopped } from './stopped.ts';
import { nextVersion } from './versions.ts';

/** Statuses by which a Task asks for nothing, and claims no more than that nothing was done. */
const AT_REST: readonly Task['status'][] = ['draft', 'cancelled', 'rejected', 'failed', 'entered-in-error'];

/**
 * Takes note of a change of a Task. What was delivered says only which one; it is read again.
 * @throws BotFailure SAFETY_BLOCKED or UNAUTHORIZED for what is not to be believed; the Task says so then too.
 */
export async function heedTask(
  run: BotRun,
  taskId: string,
  authors: () => Promise<Authors>,
  device: () => Promise<string>
): Promise<WorkOutput> {
  const { found } = await readCurrent<Task>(run.medplum, 'Task', taskId, 'DB_ERROR');
  const author = (found?.meta as { author?: { reference?: string } } | undefined)?.author?.reference;
  // What this bot wrote needs no second look, else each of its writes would be followed by a run that reads it all.
  if (found === undefined || !isApprovalTask(found) || author === run.reference) {
    return { taskId, ignored: true };
  }
  const writers = await authors();
  const standing = await loadStanding(run, taskId, writers);
  if (!standing.trusted) {
    // Whoever made it, it asks for nothing; to be believed later, it would have to ask.
    if (AT_REST.includes(found.status)) {
      return { taskId, ignored: true };
    }
    const ended = await endUntrusted(run, standing);
    if (standing.ended && !ended) {
      return { taskId, ignored: true };
    }
    throw untrustedRefusal(standing);
  }
  return heed(run, writers, await device(), standing);
}

/** What a believable Task asks for by what people did to it. */
export async function heed(run: BotRun, authors: Authors, device: string, standing: Standing): Promise<WorkOutput> {
  const taskId = standing.original.id as string;
  if (standing.state !== 'awaiting-approval' && standing.state !== 'awaiting-second') {
    await tellEnd(run, standing, device);
    await completeOrigin(run, authors, standing);
    return { taskId, ignored: true };
  }
  // Whoever ended it did so while it waited; that nobody approved it in time is no news then.
  if (standing.byHand.kind !== 'stopped' && isExpired(standing)) {
    return answer(run.namespace, await expire(run, standing, device), []);
  }
  switch (standing.byHand.kind) {
    case 'accepted': {
      const { author, onBehalfOf, modifiedSha256 } = standing.byHand;
      const request = {
        taskId,
        decision: 'approve',
        reason: undefined,
        modifications: undefined,
        // An acceptance says nothing of what was seen, save what stands in the accepted version.
        commandSha256: modifiedSha256,
      } as const;
      try {
        const output = await decide(run, authors, device, { who: author, onBehalfOf }, request);
        if (output.alreadyDone === true && output.status === 'requested') {
          // One of two who accepts it a second time: it waits for the other all the same.
          await setBack(run, standing);
        }
        return output;
      } catch (error) {
        await putBack(run, standing, error);
        throw error;
      }
    }
    case 'stopped':
      await recordStop(run, standing as Stopped, device);
      return answer(run.namespace, await stop(run, standing), []);
    default:
      return { ...answer(run.namespace, standing.current, []), ignored: true };
  }
}

/** What somebody ended, and somebody set back, must not look as if it still waited. */
async function stop(run: BotRun, standing: Standing): Promise<Task> {
  const { current, approvals, modified } = standing;
  if (STOPPED.includes(current.status)) {
    return current;
  }
  const change = { status: 'cancelled', businessStatus: 'withdrawn', approvals, modified } as const;
  const written = await write(run, nextVersion(run.namespace, standing, change));
  return written.changed ? current : (written.resource as Task);
}

/** An acceptance that does not count must not look as if it did: the Task goes back to where it stood. */
async function putBack(run: BotRun, standing: Standing, error: unknown): Promise<void> {
  const { code, details } = asFailure(error, 'DB_ERROR');
  const notSeen = details?.reason === 'COMMAND_DIFFERS';
  if (!notSeen && (code !== 'UNAUTHORIZED' || details?.reason === undefined)) {
    return;
  }
  await setBack(run, standing);
}

async function setBack(run: BotRun, standing: Standing): Promise<void> {
  const { state, approvals, modified } = standing;
  const change = { status: 'requested', businessStatus: state as 'awaiting-approval', approvals, modified } as const;
  await write(run, nextVersion(run.namespace, standing, change));
}

