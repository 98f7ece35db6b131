import type { Resource } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import type { BotRun } from '../run.ts';
import { isIdentifiedBy } from './history.ts';
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
): Promise<Map<string, Resource>> {
  const identifier = commandIdentifier(run.namespace, commandId);
  const types = kindOf(command.name).makes;
  const found = await Promise.all(types.map((type) => findIdentified(run, type, identifier)));
  const effects = new Map<string, Resource>();
  for (const resource of found) {
    if (resource !== undefined) {
      if (!(await isIdentifiedBy(run, resource, identifier, bots))) {
        throw identifierTaken(resource);
      }
      effects.set(resource.resourceType, resource);
    }
  }
  return effects;
}

/** A resource that somebody else made carries a command's identifier. */
export function identifierTaken(resource: Resource): BotFailure {
  return new BotFailure(
    'SAFETY_BLOCKED',
    `${resource.resourceType}/${resource.id} carries the command's identifier, and no bot put it there`,
    { reason: 'IDENTIFIER_TAKEN' }
  );
}

/** What one write gave, and whether this run made it. */
export interface Effect {
  resource: Resource;
  created: boolean;
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
    const effect = before ?? accepted(written);
    await requireOurs(run, [effect], context.commandId, bots);
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
  const resource = [...effects.values()].find((each) => referenceTo(each) === fullUrl);
  return resource && { resource, created: false };
}

/**
 * Makes sure that what was there already is the work of these bots.
 * @throws BotFailure SAFETY_BLOCKED with `details.reason` IDENTIFIER_TAKEN
 */
export async function requireOurs(
  run: BotRun,
  effects: readonly Effect[],
  commandId: string,
  bots: readonly string[]
): Promise<void> {
  const identifier = commandIdentifier(run.namespace, commandId);
  for (const { resource, created } of effects) {
    if (!created && !(await isIdentifiedBy(run, resource, identifier, bots))) {
      throw identifierTaken(resource);
    }
  }
}

/** @throws BotFailure SAFETY_BLOCKED with `details.reason` TARGET_CHANGED */
export function accepted(written: Written): Effect {
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

