import { assess } from '../commands/assess.ts';
import { readCommand } from '../commands/command.ts';
import { requireVisible } from '../commands/canonical.ts';
import { identify } from '../commands/command.ts';
import { readFacts } from '../commands/facts.ts';
import type { Command, Facts } from '../commands/kind.ts';
import { kindOf } from '../commands/kinds.ts';
import { asFailure, BotFailure } from '../failure.ts';
import { isObject } from '../input.ts';
import type { BotRun } from '../run.ts';
import { refusal } from './refusal.ts';
import type { Needed } from './second-person.ts';
import type { Standing } from './standing.ts';

/** A command that may be carried out now, and who must have approved it. */
export interface Reassessed {
  command: Command;
  facts: Facts;
  needed: Needed;
  warnings: string[];
}

/**
 * Takes a command through the checks of the Command Processor again, with everything read anew: hours lie between.
 * @throws BotFailure SAFETY_BLOCKED with `details.reason`: TARGET_CHANGED, or why the Command Processor blocks it.
 */
export async function reassess(run: BotRun, standing: Standing, command: Command): Promise<Reassessed> {
  const { queued } = standing;
  const { patientId, encounterId, name } = command;
  const facts = await readFacts(run, { patientId, encounterId, sources: queued.sources }, command).catch(gone);
  requireSameTarget(standing, command, facts);
  let assessment;
  try {
    assessment = assess({ command, name, confidence: queued.confidence }, facts, run.secrets, new Date());
  } catch (error) {
    throw gone(error);
  }
  if (assessment.blocked !== undefined) {
    throw new BotFailure('SAFETY_BLOCKED', `The command is blocked: ${assessment.blocked}`, {
      reason: assessment.blocked,
    });
  }
  const { rule, warnings } = assessment;
  // What needed two people when it was handed in needs them still, and what needs them now does so too.
  const dual = queued.dual || rule.dual;
  const roles = dual ? [...new Set([...queued.roles, ...rule.roles])] : queued.roles;
  return { command, facts, needed: { roles, dual }, warnings };
}

/** What the command names is gone, another patient's, or no longer fit for it. */
function gone(error: unknown): never {
  const failure = asFailure(error, 'DB_ERROR');
  throw failure.code === 'INVALID_INPUT' || failure.code === 'PATIENT_NOT_FOUND'
    ? refusal('TARGET_CHANGED', `What the command is about has changed: ${failure.message}`)
    : failure;
}

/** @throws BotFailure SAFETY_BLOCKED when the record to be changed is at another version than when it was queued. */
function requireSameTarget({ queued }: Standing, command: Command, facts: Facts): void {
  const target = kindOf(command.name).target?.(command.parameters);
  const version = target && facts.records.get(target)?.meta?.versionId;
  if (version !== queued.targetVersion) {
    throw refusal('TARGET_CHANGED', 'The record that the command changes was changed since it was handed in');
  }
}

/**
 * A command, as it stands, with some of its parameters replaced by an approver; `null` takes one away.
 * @returns undefined when nothing is different.
 * @throws BotFailure INVALID_INPUT, also for another patient, encounter or record: those are fixed.
 */
export function modify(standing: Standing, modifications: Record<string, unknown>): Standing['modified'] {
  requireVisible(modifications, 'modifications');
  // What an approver made of it who has left since stays: whoever comes next has it before them.
  const content: unknown = JSON.parse(standing.modified?.text ?? standing.queued.text);
  const before = isObject(content) && isObject(content.parameters) ? content.parameters : {};
  const { name, patientId, encounterId } = standing.command;
  const command = readCommand(name, { patientId, encounterId, parameters: { ...before, ...modifications } });
  const kind = kindOf(name);
  const records = (one: Command): string => [...kind.references(one.parameters), one.encounterId].join();
  if (records(command) !== records(standing.command)) {
    throw new BotFailure('INVALID_INPUT', 'modifications may not make it about another record', {
      field: 'modifications',
    });
  }
  const { text, commandId } = identify(command);
  return text === standing.queued.text ? undefined : { text, sha256: commandId, command };
}
