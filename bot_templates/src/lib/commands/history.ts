import type { Bundle, BundleEntry, Identifier, Reference, Resource } from '@medplum/fhirtypes';
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

/** Versions of one page, and pages: whoever wants to keep a Task from ever being approved needs but to edit it. */
const PAGE = 100;
const MOST_PAGES = 10;

/**
 * Every version of a resource, the newest first. A version that is written meanwhile may be missing, and none else: it
 * moves the others to a later page, where those that were given already are left out.
 * @throws BotFailure SAFETY_BLOCKED with `details.reason` HISTORY_TOO_LONG: the oldest are not among those given.
 */
export async function readHistory<T extends Resource>(
  run: BotRun,
  resourceType: T['resourceType'],
  id: string
): Promise<Version<T>[]> {
  const entries = new Map<string, BundleEntry<T>>();
  for (let page = 0; page < MOST_PAGES; page++) {
    const { entry = [], total } = await readPage<T>(run, resourceType, id, page * PAGE);
    for (const each of entry) {
      // A deletion has no resource, and is told apart by the address of its version.
      entries.set(each.resource?.meta?.versionId ?? each.request?.url ?? '', each);
    }
    if (total === undefined ? entry.length < PAGE : total <= page * PAGE + entry.length) {
      return [...entries.values()].map(versionOf);
    }
  }
  throw new BotFailure('SAFETY_BLOCKED', `${resourceType}/${id} has too many versions to be trusted`, {
    reason: 'HISTORY_TOO_LONG',
  });
}

async function readPage<T extends Resource>(
  run: BotRun,
  resourceType: T['resourceType'],
  id: string,
  offset: number
): Promise<Bundle<T>> {
  const url = `${run.medplum.fhirUrl(resourceType, id, '_history').toString()}?_count=${PAGE}&_offset=${offset}`;
  return fhirRequest(
    `Reading the history of ${resourceType}/${id}`,
    'DB_ERROR',
    (signal) => run.medplum.get(url, { signal, cache: 'reload' }) as Promise<Bundle<T>>
  );
}

function versionOf<T extends Resource>({ resource }: BundleEntry<T>): Version<T> {
  const meta = resource?.meta as { author?: Reference; onBehalfOf?: Reference } | undefined;
  return { resource, author: meta?.author?.reference, onBehalfOf: meta?.onBehalfOf?.reference };
}

/**
 * The version by which one of these bots put an identifier on a resource. Somebody else who knows a command's id could
 * put it on anything, and the command would seem done.
 * @returns The version's id; undefined when it was somebody else.
 */
export async function versionIdentifiedBy(
  run: BotRun,
  resource: Resource,
  identifier: Identifier,
  bots: readonly string[]
): Promise<string | undefined> {
  const versions = await readHistory(run, resource.resourceType, resource.id as string);
  const first = versions.reverse().find((version) => carries(version.resource, identifier));
  if (first?.author === undefined || !bots.includes(first.author)) {
    return undefined;
  }
  return first.resource?.meta?.versionId;
}

/** A resource that somebody else made carries a command's identifier. */
export function identifierTaken(resource: Resource): BotFailure {
  return new BotFailure(
    'SAFETY_BLOCKED',
    `${resource.resourceType}/${resource.id} carries the command's identifier, and no bot put it there`,
    { reason: 'IDENTIFIER_TAKEN' }
  );
}

function carries(resource: Resource | undefined, identifier: Identifier): boolean {
  const identifiers = [(resource as { identifier?: Identifier | Identifier[] } | undefined)?.identifier ?? []].flat();
  return identifiers.some(({ system, value }) => system === identifier.system && value === identifier.value);
}
