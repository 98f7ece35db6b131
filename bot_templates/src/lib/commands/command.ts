import { BotFailure } from '../failure.ts';
import { Fields } from '../fields.ts';
import { isUuid, parseReference } from '../ids.ts';
import { isObject } from '../input.ts';
import { canonicalJson, commandIdOf, requireVisible } from './canonical.ts';
import { type BlockReason, type Command, COMMAND_NAMES, type CommandName } from './kind.ts';
import { kindOf } from './kinds.ts';

/** A command with all that was said of it when it was handed in. */
export interface Submitted {
  /** undefined for a name that is not known: it is blocked, and its parameters mean nothing. */
  command: Command | undefined;
  /** As given. */
  name: string;
  patientId: string;
  encounterId: string | undefined;
  commandId: string;
  /** Canonical JSON, of which commandId is the hash. */
  text: string;
  confidence: number;
  aiModel: string | undefined;
  promptTemplate: string | undefined;
  /** `Type/id` */
  sources: string[];
}

const MOST_SOURCES = 50;

/** @throws BotFailure INVALID_INPUT */
export function readSubmission(input: Record<string, unknown>): Submitted {
  const fields = new Fields(input);
  const name = fields.present('command', fields.text('command', 64));
  if (!/^[A-Za-z][A-Za-z0-9]*$/.test(name)) {
    throw new BotFailure('INVALID_INPUT', 'command must be a name', { field: 'command' });
  }
  const patientId = fields.present('patientId', fields.id('patientId', 'Patient'));
  const encounterId = fields.id('encounterId', 'Encounter');
  const confidence = fields.present('confidence', fields.number('confidence', 0, 1));
  const aiModel = fields.text('aiModel', 200);
  const promptTemplate = fields.text('promptTemplate', 200);
  const sources = readSources(fields);
  fields.object('parameters');
  // Whoever asks does not decide who approves.
  fields.ignore('requiresApproval');
  fields.done();
  const parameters = isObject(input.parameters) ? input.parameters : {};
  requireVisible(input, 'the input');
  const known = COMMAND_NAMES.find((each) => each === name);
  const command = known && readCommand(known, { patientId, encounterId, parameters });
  const text = canonicalJson(
    command ? contentOf(command) : { command: name, patientId, encounterId, parameters }
  );
  return {
    command,
    name,
    patientId,
    encounterId: command?.encounterId ?? encounterId,
    commandId: commandIdOf(text),
    text,
    confidence,
    aiModel,
    promptTemplate,
    sources,
  };
}

/**
 * A command from its parameters; an encounterId may stand among them or beside them.
 * @throws BotFailure INVALID_INPUT
 */
export function readCommand(
  name: CommandName,
  given: { patientId: string; encounterId: string | undefined; parameters: Record<string, unknown> }
): Command {
  const kind = kindOf(name);
  const fields = new Fields(given.parameters, 'parameters.');
  const inner = fields.id('encounterId', 'Encounter');
  if (inner !== undefined && given.encounterId !== undefined && inner !== given.encounterId) {
    throw new BotFailure('INVALID_INPUT', 'parameters.encounterId is another than encounterId', { field: 'encounterId' });
  }
  const encounterId = given.encounterId ?? inner;
  fields.ignore('requiresApproval');
  const parameters = kind.read(fields);
  fields.done();
  if (kind.needsEncounter && encounterId === undefined) {
    throw new BotFailure('INVALID_INPUT', 'encounterId is missing', { field: 'encounterId' });
  }
  return { name, patientId: given.patientId, encounterId, parameters };
}

/** What of a command is kept and hashed. */
export function contentOf({ name, patientId, encounterId, parameters }: Command): Record<string, unknown> {
  return { command: name, patientId, encounterId, parameters };
}

/** A command's canonical JSON and its id. */
export function identify(command: Command): { text: string; commandId: string } {
  const text = canonicalJson(contentOf(command));
  return { text, commandId: commandIdOf(text) };
}

/**
 * A command from its canonical JSON, as a Task keeps it.
 * @throws BotFailure INVALID_INPUT when it is none, or one of another release of this bot.
 */
export function parseCommand(text: string): Command {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    content = undefined;
  }
  const { command: name, patientId, encounterId, parameters } = isObject(content) ? content : {};
  const known = COMMAND_NAMES.find((each) => each === name);
  if (!known || !isUuid(patientId) || !(encounterId === undefined || isUuid(encounterId)) || !isObject(parameters)) {
    throw new BotFailure('INVALID_INPUT', 'The Task holds no command that is known');
  }
  return readCommand(known, { patientId, encounterId, parameters });
}

/** What the name of a command that is not known seems to ask for. */
const FORBIDDEN: readonly (readonly [RegExp, BlockReason])[] = [
  [/delete|remove|purge|erase|destroy/i, 'DELETION'],
  [/allerg|intoleran/i, 'ALLERGY_CHANGE'],
  [/codestatus|resuscit|dnr|lifesupport/i, 'CODE_STATUS'],
  [/discharge/i, 'DISCHARGE'],
  [/controlled|opioid|narcotic/i, 'CONTROLLED_SUBSTANCE'],
  [/prescri|order|dispense|refill|administer/i, 'PRESCRIPTION'],
];

/** Why a command by that name is blocked: for what it would do, or because nobody knows what that is. */
export function blockOfUnknown(name: string): BlockReason {
  return FORBIDDEN.find(([pattern]) => pattern.test(name))?.[1] ?? 'UNKNOWN_COMMAND';
}

function readSources(fields: Fields): string[] {
  const given = fields.texts('sources', MOST_SOURCES, 120) ?? [];
  const parsed = given.map(parseReference);
  if (parsed.some((each) => !isUuid(each?.id))) {
    throw new BotFailure('INVALID_INPUT', 'sources must list references, Type/id', { field: 'sources' });
  }
  return [...new Set(parsed.map((each) => `${each?.resourceType}/${each?.id.toLowerCase()}`))].sort();
}
