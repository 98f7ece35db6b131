import type { DocumentReference, Resource, ServiceRequest } from '@medplum/fhirtypes';
import { referenceTo } from '../commands/carry-out.ts';
import { kindOf } from '../commands/kinds.ts';
import { provenance } from '../commands/provenance.ts';
import { byIdentifier, commandIdentifier } from '../commands/writes.ts';
import { isOwn, write, writeOwn } from '../commands/writing.ts';
import { BotFailure } from '../failure.ts';
import { searchPage } from '../fhir.ts';
import type { BotRun } from '../run.ts';
import type { Standing } from './standing.ts';

/** What a command makes before its main resource, and which is nothing without it. */
type Part = DocumentReference | ServiceRequest;

/** Resources that carry one command's identifier and are looked through. */
const MOST = 20;

/**
 * Marks as entered in error what a command has made in part, before it ends without the rest: a letter without its
 * referral would stand in the record as if somebody were referred. What a person has changed since is theirs.
 * @throws BotFailure DB_ERROR when it was changed meanwhile; the Task stays claimed, and a later run undoes it.
 */
export async function undoParts(run: BotRun, standing: Standing, device: string): Promise<void> {
  const { name } = standing.modified?.command ?? standing.command;
  const types = kindOf(name).makes;
  const main = types.at(-1) as Resource['resourceType'];
  if (types.length === 1 || (await own(run, standing, main)).length > 0) {
    return;
  }
  for (const type of types.slice(0, -1)) {
    for (const part of (await own(run, standing, type)) as Part[]) {
      await undo(run, standing, part, device);
    }
  }
}

/** What this bot wrote last of what carries the command's identifier. */
async function own(run: BotRun, { queued }: Standing, type: Resource['resourceType']): Promise<Resource[]> {
  const query = `${byIdentifier(commandIdentifier(run.namespace, queued.commandId))}&_count=${MOST}`;
  const page = await searchPage(run.medplum, type, query, 'DB_ERROR');
  return (page.entry ?? []).map(({ resource }) => resource).filter((each) => each !== undefined && isOwn(run, each)) as Resource[];
}

async function undo(run: BotRun, standing: Standing, part: Part, device: string): Promise<void> {
  const reference = referenceTo(part);
  if (part.status !== 'entered-in-error') {
    const undone = {
      ...part,
      status: 'entered-in-error',
      ...(part.resourceType === 'DocumentReference' ? { docStatus: 'entered-in-error' } : {}),
    } as Part;
    const written = await write(run, {
      fullUrl: reference,
      resource: undone,
      request: { method: 'PUT', url: reference, ifMatch: `W/"${part.meta?.versionId}"` },
    });
    if (written.changed) {
      throw new BotFailure('DB_ERROR', `${reference} was changed while it was to be marked as entered in error`);
    }
  }
  const origin = provenance({
    targets: [reference],
    activity: 'CANCEL',
    device,
    verifiers: [],
    sources: [`Task/${standing.original.id}`],
    now: new Date().toISOString(),
  });
  await writeOwn(run, origin);
}
