import { randomUUID } from 'node:crypto';
import type { Task } from '@medplum/fhirtypes';
import { write } from '../commands/writing.ts';
import type { BotRun } from '../run.ts';
import { finish } from './finish.ts';
import type { Authors, Standing } from './standing.ts';
import { next } from './states.ts';
import { nextVersion } from './versions.ts';

/** A claim of this age belongs to a run that did not come to its end: none writes for longer than a minute. */
export const STALE_MS = 5 * 60_000;

/** Whether the run that claimed a Task is gone. */
export function isStale({ state, claim, own }: Standing, now = Date.now()): boolean {
  const since = claim?.since ?? Date.parse(own.meta?.lastUpdated ?? '');
  return next(state, { type: 'recover' }) !== undefined && now - since > STALE_MS;
}

/**
 * Takes over the claim of a run that is gone, and carries its decision out.
 * @returns undefined when there is nothing to take over, or another run did.
 * @throws BotFailure as `finish` does
 */
export async function recover(run: BotRun, authors: Authors, device: string, standing: Standing): Promise<Task | undefined> {
  const { claim } = standing;
  if (!isStale(standing) || claim === undefined) {
    return undefined;
  }
  const renewed = { id: randomUUID(), decision: claim.decision };
  const { approvals, modified, decidedBy, own } = standing;
  const change = {
    status: 'in-progress',
    businessStatus: 'executing',
    approvals,
    modified,
    decidedBy,
    reason: own.statusReason,
    claim: renewed,
  } as const;
  const written = await write(run, nextVersion(run.namespace, standing, change));
  if (written.changed) {
    return undefined;
  }
  const task = written.resource as Task;
  const taken = {
    ...standing,
    current: task,
    own: task,
    claim: { ...renewed, since: Date.now() },
  };
  return finish(run, authors, { standing: taken, device, facts: undefined, fresh: false });
}
