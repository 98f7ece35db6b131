import type { Resource } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import type { BotRun } from '../run.ts';
import { identifierTaken, versionIdentifiedBy } from './history.ts';
import type { Command, EffectContext, Write } from './kind.ts';
import { kindOf } from './kinds.ts';
import { commandIdentifier } from './writes.ts';
import { findIdentified, resolved, type Written, write } from './writing.ts';

/**
 * What a command made already, by type. Whoever knows a command's id could put it on a resource of their own; such a
 * one is never taken for the command's.
 * @param bots - `Bot/id` of those whose work counts.
 * @throws BotFailure SAFETY_BLOCKED with `details.reason` IDENTIFIER_TAKEN
 */
export async function findEffects(
  run: BotRun,
  command: Command,
  commandId: string,
  bots: readonly string[]
): Promise<Map<string, Effect>> {
  const identifier = commandIdentifier(run.namespace, commandId);
  const types = kindOf(command.name).makes;
  const found = await Promise.all(types.map((type) => findIdentified(run, type, identifier)));
  const effects = new Map<string, Effect>();
  for (const resource of found) {
    if (resource !== undefined) {
      effects.set(resource.resourceType, await requireOurs(run, { resource, created: false }, commandId, bots));
    }
  }
  return effects;
}

/** What one write gave, and whether this run made it. */
export interface Made {
  resource: Resource;
  created: boolean;
}

/** What a command made or changed, whichever run it was. */
export interface Effect extends Made {
  /** The version that the command's own write gave; others may have written since. */
  version: string;
}

/**
 * Does the writes of a command one after the other, those that are done already left out.
 * @param references - Takes the reference of each by its `urn:uuid:…`.
 * @param beforeEach - Throws when nothing more may be written.
 * @throws BotFailure SAFETY_BLOCKED with `details.reason` TARGET_CHANGED or IDENTIFIER_TAKEN
 */
export async function writeEffects(
  run: BotRun,
  command: Command,
  context: EffectContext,
  bots: readonly string[],
  references: Map<string, string>,
  beforeEach: () => void = () => undefined
): Promise<Effect[]> {
  const done: Effect[] = [];
  for (const entry of kindOf(command.name).writes(command, context)) {
    beforeEach();
    const written = await write(run, resolved(entry, references));
    const before = written.changed ? await doneBefore(run, command, context, bots, entry) : undefined;
    const effect = before ?? (await requireOurs(run, accepted(written), context.commandId, bots));
    references.set(entry.fullUrl, referenceTo(effect.resource));
    done.push(effect);
  }
  return done;
}

/**
 * What a change made that seems to come too late. MedplumClient sends again what it was given no answer to; where the
 * first was heard, the second finds another version: its own.
 * @returns undefined when somebody else changed the record.
 */
async function doneBefore(
  run: BotRun,
  command: Command,
  { commandId }: EffectContext,
  bots: readonly string[],
  { fullUrl }: Write
): Promise<Effect | undefined> {
  const effects = await findEffects(run, command, commandId, bots);
  return [...effects.values()].find(({ resource }) => referenceTo(resource) === fullUrl);
}

/**
 * Makes sure that what was there already is the work of these bots, and finds the version in which it is.
 * @throws BotFailure SAFETY_BLOCKED with `details.reason` IDENTIFIER_TAKEN
 */
export async function requireOurs(
  run: BotRun,
  { resource, created }: Made,
  commandId: string,
  bots: readonly string[]
): Promise<Effect> {
  const identifier = commandIdentifier(run.namespace, commandId);
  const version = created ? resource.meta?.versionId : await versionIdentifiedBy(run, resource, identifier, bots);
  if (version === undefined) {
    throw identifierTaken(resource);
  }
  return { resource, created, version };
}

/** @throws BotFailure SAFETY_BLOCKED with `details.reason` TARGET_CHANGED */
export function accepted(written: Written): Made {
  if (written.changed) {
    throw new BotFailure('SAFETY_BLOCKED', 'The record that the command changes was changed meanwhile', {
      reason: 'TARGET_CHANGED',
    });
  }
  return written;
}

export function referenceTo(resource: Resource): string {
  return `${resource.resourceType}/${resource.id}`;
}

/** `Type/id/_history/version` of what a command's own write gave. */
export function versionOf({ resource, version }: Effect): string {
  return `${referenceTo(resource)}/_history/${version}`;
}
