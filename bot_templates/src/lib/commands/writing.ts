import type { Bundle, BundleEntry, Identifier, Reference, Resource } from '@medplum/fhirtypes';
import { randomUUID } from 'node:crypto';
import { BotFailure } from '../failure.ts';
import { fhirRequest, searchPage } from '../fhir.ts';
import type { BotRun } from '../run.ts';
import { pause } from '../time-limit.ts';
import type { Write } from './kind.ts';
import { byIdentifier } from './writes.ts';

/** What became of one write. */
export type Written =
  | { resource: Resource; created: boolean; changed?: false }
  /** The resource is at another version than the write expects. */
  | { changed: true };

/** A server that is busy with the same resources says so, and is asked again. */
const ATTEMPTS = 4;
const PAUSE_MS = 40;
const TRANSACTION_LIMIT_MS = 15_000;

/**
 * Does one write. It goes as a batch of one, for only there the server tells whether it created a resource.
 * @throws BotFailure DB_ERROR, UNAUTHORIZED, TIMEOUT
 */
export async function write(run: BotRun, entry: Write): Promise<Written> {
  const type = entry.resource.resourceType;
  for (let attempt = 1; ; attempt++) {
    const answer = await fhirRequest(`Writing ${type}`, 'DB_ERROR', (signal) =>
      run.medplum.executeBatch({ resourceType: 'Bundle', type: 'batch', entry: [entry] }, { signal })
    );
    const { status = '', resource } = { ...answer.entry?.[0]?.response, resource: answer.entry?.[0]?.resource };
    if ((status === '200' || status === '201') && resource) {
      return { resource, created: status === '201' };
    }
    if (status === '412' && entry.request.ifMatch) {
      return { changed: true };
    }
    if (status !== '409' || attempt === ATTEMPTS) {
      const refused = status === '401' || status === '403';
      throw new BotFailure(refused ? 'UNAUTHORIZED' : 'DB_ERROR', `Writing ${type} failed: ${status || 'no answer'}`, {
        status,
      });
    }
    await pause(PAUSE_MS * attempt * (1 + Math.random()));
  }
}

/** Resources that are looked through for one of this bot's own among those that somebody else made alike. */
const MOST_ALIKE = 200;

/**
 * Creates a resource unless one of these bots made one like it. What somebody else made alike counts for nothing: who
 * expects what a bot will say could say something else in its place.
 * @param entry - A conditional create.
 * @param bots - `Bot/id` of those who may have said it; by default this bot alone.
 * @throws BotFailure as `write` does
 */
export async function writeOwn(
  run: BotRun,
  entry: Write,
  bots: readonly string[] = [run.reference]
): Promise<Exclude<Written, { changed: true }>> {
  try {
    const written = await write(run, entry);
    if (!written.changed && (written.created || isBy(bots, written.resource))) {
      return written;
    }
  } catch (error) {
    // There are several alike.
    if (!(error instanceof BotFailure && error.details?.status === '412')) {
      throw error;
    }
  }
  const own = await findOwn(run, entry, bots);
  if (own !== undefined) {
    return { resource: own, created: false };
  }
  const written = await write(run, unconditional(entry));
  if (written.changed) {
    throw new BotFailure('DB_ERROR', `Writing ${entry.resource.resourceType} failed: 412`, { status: '412' });
  }
  return written;
}

/** What one of these bots made like a conditional create; undefined when there is nothing of theirs. */
export async function findOwn(
  run: BotRun,
  { request, resource }: Write,
  bots: readonly string[] = [run.reference]
): Promise<Resource | undefined> {
  const query = `${request.ifNoneExist ?? ''}&_count=${MOST_ALIKE}`;
  const alike = await searchPage(run.medplum, resource.resourceType, query, 'DB_ERROR');
  const found = (alike.entry ?? []).find((each) => each.resource !== undefined && isBy(bots, each.resource));
  return found?.resource;
}

/** Whether this bot wrote a version of a resource. */
export function isOwn(run: BotRun, resource: Resource): boolean {
  return isBy([run.reference], resource);
}

function isBy(bots: readonly string[], { meta }: Resource): boolean {
  const author = (meta as { author?: Reference } | undefined)?.author?.reference;
  return author !== undefined && bots.includes(author);
}

/** A create whatever is there already. */
export function unconditional({ request, ...entry }: Write): Write {
  const { ifNoneExist: _, ...rest } = request;
  return { ...entry, request: rest };
}

/** A write with the references of what was written before it put in the place of their `urn:uuid:…`. */
export function resolved(entry: Write, references: ReadonlyMap<string, string>): Write {
  let text = JSON.stringify(entry);
  for (const [placeholder, reference] of references) {
    text = text.replaceAll(placeholder, reference).replaceAll(encodeURIComponent(placeholder), reference);
  }
  return JSON.parse(text) as Write;
}

/**
 * Does writes all together or not at all. Only for a project where `hasTransactions` holds.
 * @returns The resources in their order; `changed` when a version was another than expected, and nothing was written.
 */
export async function writeAtOnce(run: BotRun, entries: readonly Write[]): Promise<Written[] | 'changed'> {
  const bundle: Bundle = { resourceType: 'Bundle', type: 'transaction', entry: [...entries] };
  let answer: Bundle;
  try {
    answer = await fhirRequest(
      'Writing a transaction',
      'DB_ERROR',
      (signal) => run.medplum.executeBatch(bundle, { signal }),
      TRANSACTION_LIMIT_MS
    );
  } catch (error) {
    if (error instanceof BotFailure && error.details?.outcome === 'precondition-failed') {
      return 'changed';
    }
    throw error;
  }
  return entries.map((entry, index) => {
    const { response, resource } = answer.entry?.[index] ?? {};
    const { status } = response ?? {};
    if (!resource || !(status === '200' || status === '201')) {
      throw new BotFailure('DB_ERROR', `Writing ${entry.resource.resourceType} failed: ${status ?? 'no answer'}`);
    }
    return { resource, created: status === '201' };
  });
}

/**
 * Whether the project has transactions. Without the feature, the server takes one for a batch and says nothing; so it
 * is asked for one that must fail and writes nothing: a transaction fails as a whole, a batch does not.
 */
export async function hasTransactions(run: BotRun): Promise<boolean> {
  const entry: BundleEntry[] = [{ request: { method: 'GET', url: `Task/${randomUUID()}` } }];
  try {
    await fhirRequest('Asking for transactions', 'DB_ERROR', (signal) =>
      run.medplum.executeBatch({ resourceType: 'Bundle', type: 'transaction', entry }, { signal })
    );
    return false;
  } catch (error) {
    return error instanceof BotFailure && error.details?.absent === 'unknown';
  }
}

/** The resource of a type that carries an identifier; undefined when there is none. */
export async function findIdentified<T extends Resource>(
  run: BotRun,
  resourceType: T['resourceType'],
  identifier: Identifier
): Promise<T | undefined> {
  const page = await searchPage<T>(run.medplum, resourceType, `${byIdentifier(identifier)}&_count=2`, 'DB_ERROR');
  if ((page.entry ?? []).length > 1) {
    throw new BotFailure('SAFETY_BLOCKED', `More than one ${resourceType} carries the command's identifier`, {
      reason: 'IDENTIFIER_TAKEN',
    });
  }
  return page.entry?.[0]?.resource;
}
