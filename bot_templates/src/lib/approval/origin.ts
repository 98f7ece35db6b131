import type { Provenance } from '@medplum/fhirtypes';
import { findEffects, referenceTo, versionOf } from '../commands/carry-out.ts';
import type { Command, Write } from '../commands/kind.ts';
import { kindOf } from '../commands/kinds.ts';
import { basisOf } from '../commands/process.ts';
import { provenance, tellsVersions, versionEntities } from '../commands/provenance.ts';
import { isOwn, write } from '../commands/writing.ts';
import { searchPage } from '../fhir.ts';
import type { BotRun } from '../run.ts';
import { answer } from './answer.ts';
import type { Authors, Standing } from './standing.ts';

/** Where the effect of an approved command comes from. */
export function originOf(
  standing: Standing,
  command: Command,
  { targets, versions }: { targets: string[]; versions?: readonly string[] },
  { device, now }: { device: string; now: string }
): Write {
  const target = kindOf(command.name).target?.(command.parameters);
  const changed = target !== undefined && targets.includes(target);
  return provenance({
    targets,
    activity: changed ? 'UPDATE' : 'CREATE',
    device,
    verifiers: standing.approvals.map(({ who }) => who),
    sources: [`Task/${standing.original.id}`, ...basisOf(command, standing.queued.sources)],
    revised: changed ? `${target}/_history/${standing.queued.targetVersion}` : undefined,
    versions,
    now,
  });
}

/**
 * Adds to a Provenance the versions of its targets, which nobody knows before a transaction has written them.
 * @returns Whether it was done now; not where somebody else changed the Provenance meanwhile.
 */
export async function nameVersions(run: BotRun, said: Provenance, versions: readonly string[]): Promise<boolean> {
  const reference = `Provenance/${said.id}`;
  const written = await write(run, {
    fullUrl: reference,
    resource: { ...said, entity: [...(said.entity ?? []), ...versionEntities(versions)] },
    request: { method: 'PUT', url: reference, ifMatch: `W/"${said.meta?.versionId}"` },
  });
  return !written.changed;
}

/** The Provenances of these ids that this bot wrote, and that lack the versions of their targets. */
export async function unversioned(run: BotRun, ids: readonly string[]): Promise<Provenance[]> {
  if (ids.length === 0) {
    return [];
  }
  const page = await searchPage<Provenance>(run.medplum, 'Provenance', `_id=${ids.join()}&_count=${ids.length}`, 'DB_ERROR');
  const found = (page.entry ?? []).map(({ resource }) => resource).filter((each) => each !== undefined);
  return found.filter((each) => isOwn(run, each) && !tellsVersions(each));
}

/**
 * Makes up for a run that ended between the transaction that carried a command out and the versions in its Provenance.
 * @returns Whether there was something to make up for, and it was.
 */
export async function completeOrigin(run: BotRun, authors: Authors, standing: Standing): Promise<boolean> {
  const { provenanceId } = answer(run.namespace, standing.own, []);
  if (standing.state !== 'executed' || provenanceId === undefined) {
    return false;
  }
  const [said] = await unversioned(run, [provenanceId]);
  if (said === undefined) {
    return false;
  }
  const command = standing.modified?.command ?? standing.command;
  const effects = await findEffects(run, command, standing.queued.commandId, [authors.queue, authors.processor]);
  const made = said.target.map(({ reference }) => [...effects.values()].find((each) => referenceTo(each.resource) === reference));
  // What was deleted since, or lost its identifier, cannot be told any more.
  return made.every((each) => each !== undefined) && nameVersions(run, said, made.map(versionOf));
}
