import type { Bundle, Identifier, Reference, Resource } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import { fhirRequest } from '../fhir.ts';
import type { BotRun } from '../run.ts';

/** One version of a resource, or its deletion. */
export interface Version<T extends Resource> {
  /** undefined: the resource was deleted. */
  resource: T | undefined;
  /** `Type/id` of who wrote it, as the server attests it. */
  author: string | undefined;
  /** For whom they said to write. */
  onBehalfOf: string | undefined;
}

/** Versions that are asked for; the server gives no more than this without being asked. */
const MOST = 100;

/**
 * Every version of a resource, the newest first.
 * @throws BotFailure SAFETY_BLOCKED with `details.reason` HISTORY_TOO_LONG: the oldest may not be among those given.
 */
export async function readHistory<T extends Resource>(
  run: BotRun,
  resourceType: T['resourceType'],
  id: string
): Promise<Version<T>[]> {
  const url = `${run.medplum.fhirUrl(resourceType, id, '_history').toString()}?_count=${MOST}`;
  const bundle = await fhirRequest(
    `Reading the history of ${resourceType}/${id}`,
    'DB_ERROR',
    (signal) => run.medplum.get(url, { signal, cache: 'reload' }) as Promise<Bundle<T>>
  );
  const entries = bundle.entry ?? [];
  if (entries.length >= MOST || (bundle.total ?? 0) > entries.length) {
    throw new BotFailure('SAFETY_BLOCKED', `${resourceType}/${id} has too many versions to be trusted`, {
      reason: 'HISTORY_TOO_LONG',
    });
  }
  return entries.map(({ resource }) => {
    const meta = resource?.meta as { author?: Reference; onBehalfOf?: Reference } | undefined;
    return { resource, author: meta?.author?.reference, onBehalfOf: meta?.onBehalfOf?.reference };
  });
}

/**
 * Whether one of these bots put an identifier on a resource. Somebody else who knows a command's id could put it on
 * anything, and the command would seem done.
 */
export async function isIdentifiedBy(
  run: BotRun,
  resource: Resource,
  identifier: Identifier,
  bots: readonly string[]
): Promise<boolean> {
  const versions = await readHistory(run, resource.resourceType, resource.id as string);
  const first = versions.reverse().find((version) => carries(version.resource, identifier));
  return first?.author !== undefined && bots.includes(first.author);
}

function carries(resource: Resource | undefined, identifier: Identifier): boolean {
  const identifiers = [(resource as { identifier?: Identifier | Identifier[] } | undefined)?.identifier ?? []].flat();
  return identifiers.some(({ system, value }) => system === identifier.system && value === identifier.value);
}
