import type { Parameters, ParametersParameter, Resource } from '@medplum/fhirtypes';
import { BotFailure } from './failure.ts';

/** What a bot was given, told apart by its form. */
export type BotInput =
  /** Plain JSON, `{"input": {…}}` or FHIR Parameters: a request to do something. */
  | { kind: 'command'; fields: Record<string, unknown> }
  /** A resource that a subscription delivers because it was created or updated. */
  | { kind: 'resource'; resource: Resource }
  /** The last version of a resource that was deleted. */
  | { kind: 'deleted'; resource: Resource };

/**
 * Reads what a bot was given.
 *
 * A FHIR resource is never unwrapped: a Task has a field `input` of its own. Nothing in the result is trusted:
 * a resource here says which one to read again, no more.
 * @throws BotFailure INVALID_INPUT
 */
export function parseInput(input: unknown): BotInput {
  if (!isObject(input)) {
    throw new BotFailure('INVALID_INPUT', 'The input must be a JSON object');
  }
  if (input.resourceType === 'Parameters') {
    return { kind: 'command', fields: parameterFields((input as unknown as Parameters).parameter) };
  }
  if (typeof input.resourceType === 'string') {
    return isObject(input.meta)
      ? { kind: 'resource', resource: input as unknown as Resource }
      : { kind: 'command', fields: input };
  }
  if (isObject(input.deletedResource) && typeof input.deletedResource.resourceType === 'string') {
    return { kind: 'deleted', resource: input.deletedResource as unknown as Resource };
  }
  if (isObject(input.input) && Object.keys(input).length === 1) {
    return { kind: 'command', fields: input.input };
  }
  return { kind: 'command', fields: input };
}

/** Whether a value is an object and no array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Entries of one list of Parameters, and how deep parts may nest: reading them must not hold the server up. */
const MOST_PARAMETERS = 1_000;
const DEEPEST_PART = 8;

/** A repeated name makes an array; a parameter with parts makes an object. */
function parameterFields(parameters: ParametersParameter[] | undefined, depth = 0): Record<string, unknown> {
  if (parameters !== undefined && !Array.isArray(parameters)) {
    throw new BotFailure('INVALID_INPUT', 'Parameters.parameter must be an array');
  }
  if ((parameters?.length ?? 0) > MOST_PARAMETERS) {
    throw new BotFailure('INVALID_INPUT', `Parameters may have at most ${MOST_PARAMETERS} entries in a list`);
  }
  if (depth > DEEPEST_PART) {
    throw new BotFailure('INVALID_INPUT', `Parameters may have at most ${DEEPEST_PART} parts in one another`);
  }
  const values = new Map<string, unknown[]>();
  for (const parameter of parameters ?? []) {
    if (!isObject(parameter) || typeof parameter.name !== 'string') {
      throw new BotFailure('INVALID_INPUT', 'Every entry of Parameters.parameter needs a name');
    }
    const value = parameterValue(parameter as unknown as ParametersParameter, depth);
    const earlier = values.get(parameter.name);
    if (earlier === undefined) {
      values.set(parameter.name, [value]);
    } else {
      earlier.push(value);
    }
  }
  return Object.fromEntries([...values].map(([name, all]) => [name, all.length === 1 ? all[0] : all]));
}

function parameterValue(parameter: ParametersParameter, depth: number): unknown {
  if (parameter.part !== undefined) {
    return parameterFields(parameter.part, depth + 1);
  }
  if (parameter.resource !== undefined) {
    return parameter.resource;
  }
  return Object.entries(parameter).find(([key]) => /^value[A-Z]/.test(key))?.[1];
}
